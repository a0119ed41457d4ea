//! Prevents HTTP request smuggling: rejects HTTP/1.1 headers that another proxy could interpret differently.
//!
//! RFC 9112 lets a server accept a bare LF as a line terminator (section 2.2), and a request with both `Content-Length`
//! and `Transfer-Encoding` (section 6.3). hyper accepts both, which allows request smuggling. The guard replaces the LF
//! of such a line or header with NUL, which hyper rejects with 400. The guard also reports writes to the idle timeout.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::idle_timeout::Activity;

mod message_length;

use message_length::{MessageLength, Next};

/// A stream that checks the headers it reads, until HTTP/2 or a chunked body begins.
#[derive(Debug)]
pub(super) struct SmugglingGuard<S> {
    stream: S,
    activity: Arc<Activity>,
    state: ParseState,
    /// The last byte of the previous read, because a line terminator may be split between two reads.
    last: u8,
    length: MessageLength,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParseState {
    /// Before the first byte of a request, or of the empty lines that may precede the request.
    Start,
    Header {
        /// True if the current line is empty so far.
        is_line_empty: bool,
        /// True for methods without a body, whose header needs no parsing.
        is_bodiless: bool,
    },
    Body {
        bytes_left: u64,
    },
    /// Nothing more is checked.
    Opaque,
}

impl<S> SmugglingGuard<S> {
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, activity, state: ParseState::Start, last: 0, length: MessageLength::default() }
    }

    /// Checks the bytes of one read.
    fn check(&mut self, mut bytes: &mut [u8]) {
        while let Some(first) = bytes.first() {
            let read = match self.state {
                ParseState::Opaque => return,
                ParseState::Start => {
                    // G and H are the first letters of GET and HEAD. All other methods have a body or are rare.
                    let is_bodiless = matches!(first, b'G' | b'H' | b'\r' | b'\n');
                    self.state = ParseState::Header { is_line_empty: matches!(first, b'\r' | b'\n'), is_bodiless };
                    0
                }
                ParseState::Body { bytes_left } => {
                    let read = usize::try_from(bytes_left).unwrap_or(usize::MAX).min(bytes.len());
                    let bytes_left = bytes_left - read as u64;
                    self.state = if bytes_left == 0 { ParseState::Start } else { ParseState::Body { bytes_left } };
                    read
                }
                ParseState::Header { is_line_empty, is_bodiless } => self.check_line(bytes, is_line_empty, is_bodiless),
            };
            bytes = &mut bytes[read..];
        }
    }

    /// Checks the rest of the current header line and returns the number of bytes that belong to it.
    fn check_line(&mut self, bytes: &mut [u8], is_line_empty: bool, is_bodiless: bool) -> usize {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.last = bytes[bytes.len() - 1];
            if !is_bodiless {
                self.length.push(bytes);
            }
            self.state = ParseState::Header { is_line_empty: is_line_empty && bytes == b"\r", is_bodiless };
            return bytes.len();
        };
        let before = end.checked_sub(1).map_or(self.last, |at| bytes[at]);
        if before != b'\r' {
            bytes[end] = 0;
        }
        self.last = b'\n';
        let is_header_end = is_line_empty && end <= 1;
        self.state = match (is_header_end, is_bodiless) {
            (true, true) => ParseState::Start,
            (true, false) => match std::mem::take(&mut self.length).next() {
                Next::Request => ParseState::Start,
                Next::Body(bytes_left) => ParseState::Body { bytes_left },
                Next::Unknown => ParseState::Opaque,
                Next::Ambiguous => {
                    bytes[end] = 0;
                    ParseState::Opaque
                }
            },
            (false, is_bodiless) => {
                if !is_bodiless {
                    self.length.push(&bytes[..end]);
                    self.length.end_line();
                }
                ParseState::Header { is_line_empty: true, is_bodiless }
            }
        };
        end + 1
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for SmugglingGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buf))?;
        self.check(&mut buf.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for SmugglingGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.activity.record_write();
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
        self.activity.record_write();
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the guard turns `input` into `expected`, however the input is split into reads.
    #[track_caller]
    fn check(input: &[u8], expected: &[u8]) {
        for size in 1..=input.len() {
            let mut guard = SmugglingGuard::new((), Arc::default());
            let mut bytes = input.to_vec();
            bytes.chunks_mut(size).for_each(|piece| guard.check(piece));
            assert_eq!(bytes, expected, "in reads of {size} bytes");
        }
    }

    #[test]
    fn a_bare_line_feed_in_a_header_is_invalidated_however_it_is_split() {
        let valid = b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\nHEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET";
        check(valid, valid);
        check(b"GET / HTTP/1.1\nHost: x\r\n\r\n", b"GET / HTTP/1.1\0Host: x\r\n\r\n");
        check(b"GET / HTTP/1.1\r\nHost: x\n\r\n", b"GET / HTTP/1.1\r\nHost: x\0\r\n");
        check(b"GET / HTTP/1.1\r\nHost: x\r\n\n", b"GET / HTTP/1.1\r\nHost: x\r\n\0");
        check(b"GET / HTTP/1.1\r\n\r\nGET /\n", b"GET / HTTP/1.1\r\n\r\nGET /\0");
        check(b"POST / HTTP/1.1\r\nHost: x\n\r\n", b"POST / HTTP/1.1\r\nHost: x\0\r\n");
        let after_body = b"POST / HTTP/1.1\r\ncontent-length:\t3 \r\n\r\na\nbGET / HTTP/1.1\nHost: x\r\n\r\n";
        let mut invalidated = after_body.to_vec();
        invalidated[after_body.len() - 12] = 0;
        check(after_body, &invalidated);
        check(b"DELETE / HTTP/1.1\r\n\r\nGET /\n", b"DELETE / HTTP/1.1\r\n\r\nGET /\0");
    }

    #[test]
    fn bodies_and_http_2_pass_unchanged() {
        let body = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\r\n\r\n";
        check(body, body);
        let chunks = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\nGET /\n";
        check(chunks, chunks);
        let frames = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\0\n";
        check(frames, frames);
    }

    #[test]
    fn a_header_with_two_message_lengths_is_invalidated() {
        let long = format!("Content-Length:{}5", " ".repeat(100));
        let ambiguous = [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "transfer-encoding: chunked\r\nCONTENT-LENGTH: 5",
            "Content-Length: 5\r\nContent-Length: 5",
            &long,
        ];
        for header in ambiguous {
            let input = format!("POST / HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\nhello");
            let expected = input.replace("\r\n\r\n", "\r\n\r\0");
            check(input.as_bytes(), expected.as_bytes());
        }
    }
}
