//! Small writes gathered into large ones.
//!
//! HTTP/2 answers many requests in a row, but h2 flushes each frame and TLS writes each record as it is made: a system call and a
//! segment an answer. Here records are held back, whatever is flushed, until the connection has nothing more to do.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are held back at most; what is longer is written as it is.
const HELD_MAX: usize = 128 << 10;

/// A stream whose writes are held back once it is in a [`bottle`].
#[derive(Debug)]
pub(super) struct Corked<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    stream: S,
    /// Somebody lets go what is held.
    is_corked: bool,
    held: Vec<u8>,
    /// How many of those have been written.
    written: usize,
}

impl<S> Corked<S> {
    /// Writes go through as they come.
    pub(super) fn new(stream: S) -> Self {
        Self(Arc::new(Mutex::new(Inner { stream, is_corked: false, held: Vec::new(), written: 0 })))
    }

    /// The same stream, to be corked.
    pub(super) fn again(&self) -> Self {
        Self(self.0.clone())
    }

    /// One task has it, so nobody ever waits here.
    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `connection`, which writes to `corked`, and writes what that has held back whenever the connection can do no more.
///
/// # Errors
/// What is held back cannot be written. The connection, which takes it for written, would not hear of it, and is dropped.
pub(super) async fn bottle<S>(corked: Corked<S>, connection: impl Future<Output = ()>) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
{
    corked.inner().is_corked = true;
    let mut connection = pin!(connection);
    std::future::poll_fn(|context| {
        let ended = connection.as_mut().poll(context);
        let written = corked.inner().poll_let_go(context);
        match (ended, written) {
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (Poll::Ready(()), _) => Poll::Ready(Ok(())),
            (Poll::Pending, _) => Poll::Pending,
        }
    })
    .await
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    /// Writes what is held back, and gives its memory back: most connections are idle most of the time.
    fn poll_let_go(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.held.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.held[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        (self.held, self.written) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }

    /// Whether `length` more bytes are to be held back; if not, nothing is any more.
    fn poll_holds(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        if self.held.len() + length > HELD_MAX {
            ready!(self.poll_let_go(context))?;
        }
        let holds = self.is_corked && length <= HELD_MAX;
        if holds && self.held.capacity() == 0 {
            self.held.reserve_exact(HELD_MAX);
        }
        Poll::Ready(Ok(holds))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        if !ready!(inner.poll_holds(context, bytes.len()))? {
            return Pin::new(&mut inner.stream).poll_write(context, bytes);
        }
        inner.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        let length = parts.iter().map(|part| part.len()).sum();
        if !ready!(inner.poll_holds(context, length))? {
            return Pin::new(&mut inner.stream).poll_write_vectored(context, parts);
        }
        for part in parts {
            inner.held.extend_from_slice(part);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        if inner.is_corked {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut inner.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        ready!(inner.poll_let_go(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_io_timeout::TimeoutWriter;

    use super::*;

    #[tokio::test]
    async fn what_is_flushed_again_and_again_is_one_write_once_there_is_no_more() {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut corked = Corked::new(ours);
        let connection = {
            let mut corked = corked.again();
            async move {
                for part in [b"one, ".as_slice(), b"two, ", b"three"] {
                    corked.write_all(part).await.unwrap();
                    corked.flush().await.unwrap();
                }
                std::future::pending().await
            }
        };
        let mut read = [0; 64];
        let length = tokio::select! {
            length = theirs.read(&mut read) => length.unwrap(),
            ended = bottle(corked.again(), connection) => panic!("{ended:?}"),
        };
        assert_eq!(&read[..length], b"one, two, three");
        corked.inner().is_corked = false;
        corked.write_all(b"four").await.unwrap();
        assert_eq!(theirs.read(&mut read).await.unwrap(), 4, "without a task to let it go it is not held back");
    }

    #[tokio::test]
    async fn everything_arrives_in_order_however_much_it_is_and_however_slowly_it_is_read() {
        let (ours, mut theirs) = duplex(1000);
        let mut corked = Corked::new(ours);
        let sent: Vec<u8> = (0..5 * HELD_MAX).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let bottled = corked.again();
        let to_send = sent.clone();
        let writer = tokio::spawn(bottle(bottled, async move {
            let mut rest = to_send.as_slice();
            for length in [1, HELD_MAX, 7, HELD_MAX + 1, HELD_MAX - 1, 100].into_iter().cycle() {
                let (now, later) = rest.split_at(length.min(rest.len()));
                corked.write_all(now).await.unwrap();
                corked.flush().await.unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            corked.shutdown().await.unwrap();
        }));
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        assert!(read == sent, "{} bytes of {}", read.len(), sent.len());
        writer.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_what_it_takes_for_written_cannot_be() {
        let (ours, theirs) = duplex(10);
        let mut stream = TimeoutWriter::new(ours);
        stream.set_timeout(Some(Duration::from_secs(1)));
        let corked = Corked::new(Box::pin(stream));
        let mut writer = corked.again();
        let connection = async move {
            writer.write_all(&[0; 100]).await.unwrap();
            writer.flush().await.unwrap();
            std::future::pending().await
        };
        let ended = bottle(corked, connection).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
