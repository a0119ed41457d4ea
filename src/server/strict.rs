//! A connection's bytes on their way: lines of an HTTP/1.1 header that end in a bare LF are refused, writes leave a sign.
//!
//! RFC 9112 section 2.2 lets a server take them, and hyper does; where another proxy reads the same bytes differently, that
//! is how requests are smuggled. Here such an LF is handed on as NUL, which hyper refuses with 400.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::patience::Signs;

/// A stream whose reads are looked through until a body, or HTTP/2, begins, and whose writes are signs of life.
#[derive(Debug)]
pub(super) struct Strict<S> {
    stream: S,
    signs: Arc<Signs>,
    at: At,
    /// The last byte seen: a line may end between two reads.
    last: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first bytes of a request, or empty lines before it.
    Start,
    /// In a request without a body: `empty` as long as the line is.
    Header { empty: bool },
    /// Behind a method that may have a body: nothing more is looked at, as only hyper knows where the body ends.
    Opaque { header: bool, empty: bool },
}

impl<S> Strict<S> {
    pub(super) fn new(stream: S, signs: Arc<Signs>) -> Self {
        Self { stream, signs, at: At::Start, last: 0 }
    }

    /// Looks through what was read, line by line.
    fn look(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.at == At::Start {
                self.at = match bytes[0] {
                    b'\r' | b'\n' => At::Header { empty: true },
                    // GET and HEAD: the rest have bodies, or are few.
                    b'G' | b'H' => At::Header { empty: false },
                    _ => At::Opaque { header: true, empty: false },
                };
            }
            let (empty, bodiless) = match self.at {
                At::Opaque { header: false, .. } => return,
                At::Opaque { empty, .. } => (empty, false),
                At::Header { empty } => (empty, true),
                At::Start => return,
            };
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.last = bytes[bytes.len() - 1];
                let empty = empty && bytes == b"\r";
                self.at = if bodiless { At::Header { empty } } else { At::Opaque { header: true, empty } };
                return;
            };
            let before = end.checked_sub(1).map_or(self.last, |at| bytes[at]);
            if before != b'\r' {
                bytes[end] = 0;
            }
            let blank = empty && end <= 1;
            self.last = b'\n';
            self.at = match (blank, bodiless) {
                (true, true) => At::Start,
                (true, false) => At::Opaque { header: false, empty: false },
                (false, true) => At::Header { empty: true },
                (false, false) => At::Opaque { header: true, empty: true },
            };
            bytes = &mut bytes[end + 1..];
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Strict<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buf))?;
        self.look(&mut buf.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Strict<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.signs.wrote();
        Poll::Ready(written)
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
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, parts));
        self.signs.wrote();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed on, read whole and in pieces of every size.
    #[track_caller]
    fn check(sent: &[u8], handed_on: &[u8]) {
        for size in 1..=sent.len() {
            let mut strict = Strict::new((), Arc::default());
            let mut bytes = sent.to_vec();
            bytes.chunks_mut(size).for_each(|piece| strict.look(piece));
            assert_eq!(bytes, handed_on, "in pieces of {size}");
        }
    }

    #[test]
    fn a_bare_line_feed_in_a_header_is_made_a_fault_however_it_is_cut() {
        let good = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET";
        check(good, good);
        check(b"GET / HTTP/1.1\nHost: x\r\n\r\n", b"GET / HTTP/1.1\0Host: x\r\n\r\n");
        check(b"GET / HTTP/1.1\r\nHost: x\n\r\n", b"GET / HTTP/1.1\r\nHost: x\0\r\n");
        check(b"GET / HTTP/1.1\r\nHost: x\r\n\n", b"GET / HTTP/1.1\r\nHost: x\r\n\0");
        check(b"GET / HTTP/1.1\r\n\r\nGET /\n", b"GET / HTTP/1.1\r\n\r\nGET /\0");
        check(b"POST / HTTP/1.1\r\nHost: x\n\r\n", b"POST / HTTP/1.1\r\nHost: x\0\r\n");
    }

    #[test]
    fn bodies_and_http_2_are_handed_on_as_they_are() {
        let body = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\n\n";
        check(body, body);
        let frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\0\n";
        check(frames, frames);
    }
}
