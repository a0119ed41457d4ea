//! A socket that fails once its client reads too slowly.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::{BlockedTime, Pace};

/// A stream whose writes fail when the peer exceeds its [`Pace`].
#[derive(Debug)]
pub struct PacedStream<S> {
    stream: S,
    pace: Pace,
    blocked: Arc<BlockedTime>,
    /// The end of the peer's credit; `None` while the stream accepts bytes.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> PacedStream<S> {
    /// Limits the time for which `stream` accepts no bytes to `timeout`.
    #[must_use]
    pub fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, pace: Pace::new(timeout), blocked: Arc::default(), deadline: None }
    }

    /// The time for which the stream was blocked.
    #[must_use]
    pub fn blocked_time(&self) -> Arc<BlockedTime> {
        self.blocked.clone()
    }

    /// Applies the pace to the result of a write.
    fn check(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if self.deadline.take().is_some() {
                    self.pace.waited(self.blocked.end());
                }
                self.pace.took(bytes);
                Poll::Ready(Ok(bytes))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let deadline = match &mut self.deadline {
                    Some(deadline) => deadline,
                    None => {
                        self.blocked.begin();
                        self.deadline.insert(Box::pin(sleep(self.pace.credit())))
                    }
                };
                ready!(deadline.as_mut().poll(context));
                let reason = "the client reads too slowly (server.write_timeout)";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PacedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PacedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check(context, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.check(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Writes without end to a peer that reads `bytes` every `interval`. Returns the time after which the write failed.
    async fn fails_after(bytes: usize, interval: Duration) -> Option<Duration> {
        let (ours, mut theirs) = duplex(64);
        let mut stream = PacedStream::new(ours, TIMEOUT);
        let start = Instant::now();
        let write = async {
            loop {
                if let Err(error) = stream.write_all(&[0; 64]).await {
                    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                    return Some(start.elapsed());
                }
            }
        };
        let read = async {
            let mut buffer = vec![0; bytes];
            while start.elapsed() < 100 * TIMEOUT {
                tokio::time::sleep(interval).await;
                theirs.read_exact(&mut buffer).await.unwrap();
            }
            None
        };
        tokio::select! {
            failed = write => failed,
            read = read => read,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_stops_or_trickles_is_cut_off_and_a_slow_one_is_not() {
        assert_eq!(fails_after(0, 1000 * TIMEOUT).await, Some(TIMEOUT));
        let trickled = fails_after(1, TIMEOUT - Duration::from_secs(1)).await.unwrap();
        assert!(trickled < TIMEOUT + Duration::from_secs(1), "{trickled:?}");
        assert_eq!(fails_after(16 << 10, Duration::from_secs(1)).await, None);
    }
}
