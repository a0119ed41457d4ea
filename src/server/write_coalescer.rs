//! Combines small writes into large ones.
//!
//! HTTP/2 often sends many responses in a row, but h2 flushes each frame and TLS writes each record immediately: one system call
//! and one segment per response. The [`CoalescingStream`] buffers TLS records, even when they are flushed, until the connection
//! has nothing more to do.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::support::memory::{MemoryBudget, MemoryPermit};

/// Maximum size of the buffer. A longer write bypasses it.
const BUFFER_BYTES: usize = 128 << 10;

/// A stream that buffers writes while [`drive`] runs.
#[derive(Debug)]
pub(super) struct CoalescingStream<S>(Arc<Mutex<Inner<S>>>);

#[derive(Debug)]
struct Inner<S> {
    stream: S,
    /// True while [`drive`] runs and flushes the buffer.
    is_buffering: bool,
    buffer: Vec<u8>,
    /// Number of bytes of the buffer that have been written.
    written: usize,
    memory: Arc<MemoryBudget>,
    /// The right to have the buffer; `None` while there is none.
    permit: Option<MemoryPermit>,
}

impl<S> CoalescingStream<S> {
    /// Wraps `stream`. Writes pass through until [`drive`] runs, and while `memory` has no room for a buffer.
    pub(super) fn new(stream: S, memory: Arc<MemoryBudget>) -> Self {
        let inner = Inner { stream, is_buffering: false, buffer: Vec::new(), written: 0, memory, permit: None };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Returns a second handle to the same stream, for [`drive`].
    pub(super) fn clone_handle(&self) -> Self {
        Self(self.0.clone())
    }

    /// Locks the stream. The lock is never contended because a single task uses the stream.
    fn inner(&self) -> MutexGuard<'_, Inner<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `connection`, which writes to `stream`, and flushes the buffer whenever the connection is blocked.
///
/// # Errors
/// The buffer cannot be written. The connection considers these bytes written already, so the connection is dropped.
pub(super) async fn drive<S, T>(stream: CoalescingStream<S>, connection: impl Future<Output = T>) -> io::Result<T>
where
    S: AsyncWrite + Unpin,
{
    stream.inner().is_buffering = true;
    let mut connection = pin!(connection);
    std::future::poll_fn(|context| {
        let ended = connection.as_mut().poll(context);
        let flushed = stream.inner().poll_flush_buffer(context);
        match (ended, flushed) {
            (_, Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (Poll::Ready(result), _) => Poll::Ready(Ok(result)),
            (Poll::Pending, _) => Poll::Pending,
        }
    })
    .await
}

impl<S: AsyncWrite + Unpin> Inner<S> {
    /// Writes the buffer and frees its memory, because most connections are idle most of the time.
    fn poll_flush_buffer(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.buffer.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.buffer[self.written..]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
        }
        (self.buffer, self.written, self.permit) = (Vec::new(), 0, None);
        Poll::Ready(Ok(()))
    }

    /// Makes room for `length` bytes. Returns `false` if they must bypass the buffer, which is then empty.
    fn poll_reserve(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<bool>> {
        if self.buffer.len() + length > BUFFER_BYTES {
            ready!(self.poll_flush_buffer(context))?;
        }
        if !self.is_buffering || length > BUFFER_BYTES {
            return Poll::Ready(Ok(false));
        }
        if self.permit.is_none() {
            self.permit = self.memory.try_acquire(BUFFER_BYTES as u64).ok();
            if self.permit.is_none() {
                return Poll::Ready(Ok(false));
            }
            self.buffer.reserve_exact(BUFFER_BYTES);
        }
        Poll::Ready(Ok(true))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CoalescingStream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().stream).poll_read(context, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CoalescingStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        if !ready!(inner.poll_reserve(context, bytes.len()))? {
            return Pin::new(&mut inner.stream).poll_write(context, bytes);
        }
        inner.buffer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut inner = self.inner();
        let length = parts.iter().map(|part| part.len()).sum();
        if !ready!(inner.poll_reserve(context, length))? {
            return Pin::new(&mut inner.stream).poll_write_vectored(context, parts);
        }
        for part in parts {
            inner.buffer.extend_from_slice(part);
        }
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        if inner.is_buffering {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut inner.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut inner = self.inner();
        ready!(inner.poll_flush_buffer(context))?;
        Pin::new(&mut inner.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::support::pace::PacedStream;

    fn memory(bytes_max: u64) -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget::new(bytes_max, 0, Duration::ZERO))
    }

    #[tokio::test]
    async fn several_flushed_writes_become_one_write_when_the_connection_is_blocked() {
        let (ours, mut theirs) = duplex(1 << 20);
        let mut stream = CoalescingStream::new(ours, memory(1 << 20));
        let connection = {
            let mut stream = stream.clone_handle();
            async move {
                for part in [b"one, ".as_slice(), b"two, ", b"three"] {
                    stream.write_all(part).await.unwrap();
                    stream.flush().await.unwrap();
                }
                std::future::pending::<()>().await
            }
        };
        let mut read = [0; 64];
        let length = tokio::select! {
            length = theirs.read(&mut read) => length.unwrap(),
            ended = drive(stream.clone_handle(), connection) => panic!("{ended:?}"),
        };
        assert_eq!(&read[..length], b"one, two, three");
        stream.inner().is_buffering = false;
        stream.write_all(b"four").await.unwrap();
        assert_eq!(theirs.read(&mut read).await.unwrap(), 4, "without `drive` writes are not buffered");
    }

    #[tokio::test]
    async fn all_bytes_arrive_in_order_for_any_write_size_and_a_slow_reader() {
        let (ours, mut theirs) = duplex(1000);
        let mut stream = CoalescingStream::new(ours, memory(1 << 20));
        let sent: Vec<u8> = (0..5 * BUFFER_BYTES).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let handle = stream.clone_handle();
        let to_send = sent.clone();
        let writer = tokio::spawn(drive(handle, async move {
            let mut rest = to_send.as_slice();
            for length in [1, BUFFER_BYTES, 7, BUFFER_BYTES + 1, BUFFER_BYTES - 1, 100].into_iter().cycle() {
                let (now, later) = rest.split_at(length.min(rest.len()));
                stream.write_all(now).await.unwrap();
                stream.flush().await.unwrap();
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            stream.shutdown().await.unwrap();
        }));
        let mut read = Vec::new();
        theirs.read_to_end(&mut read).await.unwrap();
        assert!(read == sent, "{} bytes of {}", read.len(), sent.len());
        writer.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn writes_pass_through_while_there_is_no_memory_for_a_buffer() {
        let (ours, mut theirs) = duplex(1 << 20);
        let memory = memory(BUFFER_BYTES as u64);
        let permit = memory.try_acquire(1).unwrap();
        let mut stream = CoalescingStream::new(ours, memory.clone());
        stream.inner().is_buffering = true;
        let mut read = [0; 64];
        stream.write_all(b"one").await.unwrap();
        assert_eq!(theirs.read(&mut read).await.unwrap(), 3);
        drop(permit);
        stream.write_all(b"two").await.unwrap();
        assert_eq!((memory.used_bytes(), stream.inner().buffer.len()), (BUFFER_BYTES as u64, 3));
        std::future::poll_fn(|context| stream.inner().poll_flush_buffer(context)).await.unwrap();
        assert_eq!((memory.used_bytes(), theirs.read(&mut read).await.unwrap()), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_the_buffer_cannot_be_written() {
        let (ours, theirs) = duplex(10);
        let stream = CoalescingStream::new(PacedStream::new(ours, Duration::from_secs(1)), memory(1 << 20));
        let mut handle = stream.clone_handle();
        let connection = async move {
            handle.write_all(&[0; 100]).await.unwrap();
            handle.flush().await.unwrap();
            std::future::pending::<()>().await
        };
        let ended = drive(stream, connection).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
