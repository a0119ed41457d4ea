//! A connection's bytes on their way: what another proxy could read differently in an HTTP/1.1 header is refused, writes leave
//! a sign.
//!
//! RFC 9112 lets a server take a bare LF for a line's end (section 2.2), and a request with both `Content-Length` and
//! `Transfer-Encoding` (section 6.3), and hyper does; that is how requests are smuggled. Here an LF that ends such a line or
//! header is handed on as NUL, which hyper refuses with 400.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::idle_timeout::Signs;

mod message_length;

use message_length::{Extent, Follows};

/// A stream whose reads are looked through until HTTP/2 or a body of chunks begins, and whose writes are signs of life.
#[derive(Debug)]
pub(super) struct Strict<S> {
    stream: S,
    signs: Arc<Signs>,
    at: At,
    /// The last byte seen: a line may end between two reads.
    last: u8,
    extent: Extent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first bytes of a request, or empty lines before it.
    Start,
    /// In a header: `empty` as long as the line is. A request that may have a body says there how long it is.
    Header { empty: bool, bodiless: bool },
    /// In a body, with so many bytes left of it.
    Body { left: u64 },
    /// Nothing more is looked at.
    Opaque,
}

impl<S> Strict<S> {
    pub(super) fn new(stream: S, signs: Arc<Signs>) -> Self {
        Self { stream, signs, at: At::Start, last: 0, extent: Extent::default() }
    }

    /// Looks through what was read, line by line.
    fn look(&mut self, mut bytes: &mut [u8]) {
        while let Some(first) = bytes.first() {
            let read = match self.at {
                At::Opaque => return,
                At::Start => {
                    // GET and HEAD: the rest have bodies, or are few.
                    let bodiless = matches!(first, b'G' | b'H' | b'\r' | b'\n');
                    self.at = At::Header { empty: matches!(first, b'\r' | b'\n'), bodiless };
                    0
                }
                At::Body { left } => {
                    let read = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    let left = left - read as u64;
                    self.at = if left == 0 { At::Start } else { At::Body { left } };
                    read
                }
                At::Header { empty, bodiless } => self.look_at_line(bytes, empty, bodiless),
            };
            bytes = &mut bytes[read..];
        }
    }

    /// Looks at the rest of a header's line, as far as it was read, and says how far that is.
    fn look_at_line(&mut self, bytes: &mut [u8], empty: bool, bodiless: bool) -> usize {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.last = bytes[bytes.len() - 1];
            if !bodiless {
                self.extent.read(bytes);
            }
            self.at = At::Header { empty: empty && bytes == b"\r", bodiless };
            return bytes.len();
        };
        let before = end.checked_sub(1).map_or(self.last, |at| bytes[at]);
        if before != b'\r' {
            bytes[end] = 0;
        }
        self.last = b'\n';
        let is_last = empty && end <= 1;
        self.at = match (is_last, bodiless) {
            (true, true) => At::Start,
            (true, false) => match std::mem::take(&mut self.extent).follows() {
                Follows::Request => At::Start,
                Follows::Body(left) => At::Body { left },
                Follows::Unknown => At::Opaque,
                Follows::Doubt => {
                    bytes[end] = 0;
                    At::Opaque
                }
            },
            (false, bodiless) => {
                if !bodiless {
                    self.extent.read(&bytes[..end]);
                    self.extent.end_line();
                }
                At::Header { empty: true, bodiless }
            }
        };
        end + 1
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
        let after = b"POST / HTTP/1.1\r\ncontent-length:\t3 \r\n\r\na\nbGET / HTTP/1.1\nHost: x\r\n\r\n";
        let mut refused = after.to_vec();
        refused[after.len() - 12] = 0;
        check(after, &refused);
        check(b"DELETE / HTTP/1.1\r\n\r\nGET /\n", b"DELETE / HTTP/1.1\r\n\r\nGET /\0");
    }

    #[test]
    fn bodies_and_http_2_are_handed_on_as_they_are() {
        let body = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\r\n\r\n";
        check(body, body);
        let chunks = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\nGET /\n";
        check(chunks, chunks);
        let frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\0\n";
        check(frames, frames);
    }

    #[test]
    fn a_header_that_says_twice_where_its_body_ends_is_made_a_fault() {
        let long = format!("Content-Length:{}5", " ".repeat(100));
        let twice = [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\nCONTENT-LENGTH: 5",
            "Content-Length: 5\r\nContent-Length: 5",
            &long,
        ];
        for header in twice {
            let sent = format!("POST / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\nhello");
            let handed_on = sent.replace("\r\n\r\n", "\r\n\r\0");
            check(sent.as_bytes(), handed_on.as_bytes());
        }
    }
}
