//! Passes on only requests that every server interprets alike, and refuses all others: defense against HTTP request
//! smuggling.
//!
//! RFC 9112 lets a server accept some ambiguous requests, such as a bare LF as a line terminator (section 2.2), and a
//! request with both `Content-Length` and `Transfer-Encoding` (section 6.3). hyper accepts these. The [`RequestFilter`] is a
//! stream between hyper and the socket. It parses each HTTP/1 header exactly and passes it on when it is complete, so hyper
//! never sees a part of an invalid one. After an invalid one hyper sees the end of the stream; when hyper has sent the
//! responses to earlier requests and shuts the stream down, the filter sends the error response.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

mod chunks;
mod header;
mod refusal;
mod request_line;
mod syntax;

use chunks::ChunkScanner;
use header::{BodyLength, HeaderParser, Progress};
pub use refusal::Refusal;

/// Maximum size of a request line and header together, and of a header list in HTTP/2.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Maximum length of a request target.
pub const TARGET_BYTES_MAX: usize = 8 * 1024;
/// Maximum number of header fields, in HTTP/2 too.
pub const FIELDS_MAX: usize = 100;

/// Bytes read at once while a header is incomplete.
const READ_BYTES: usize = 4096;

/// Time for which the input of a closed connection is discarded. If unread bytes arrive at a closed socket, the kernel
/// resets the connection, and the client may lose the response (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(2);

/// A stream that filters the HTTP/1 requests that are read from it. `F` makes the response to a refused request.
pub struct RequestFilter<S, F> {
    stream: S,
    respond: F,
    state: State,
    parser: HeaderParser,
    /// Bytes that were read but not passed on: an incomplete header, or the rest of a complete one.
    held: Vec<u8>,
    /// The first bytes of `held`, which may be passed on.
    released: usize,
    end: Option<End>,
    shutdown: Shutdown,
    linger: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum State {
    Header,
    Body { bytes_left: u64 },
    Chunked(ChunkScanner),
}

/// The end of the valid input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Refused {
        refusal: Refusal,
        is_head: bool,
    },
    InvalidBody,
    /// The client sends nothing more.
    Closed,
}

/// Progress of closing the stream.
#[derive(Debug)]
enum Shutdown {
    NotStarted,
    /// The end of the input was read. `None` if no response is due.
    EndPassedOn(Option<(Refusal, bool)>),
    Respond {
        bytes: Vec<u8>,
        written: usize,
    },
    Close,
    Discard,
}

impl<S, F, B> RequestFilter<S, F>
where
    F: Fn(Refusal) -> Response<B>,
    B: AsRef<[u8]>,
{
    pub fn new(stream: S, respond: F) -> Self {
        let (state, parser, shutdown) = (State::Header, HeaderParser::default(), Shutdown::NotStarted);
        Self { stream, respond, state, parser, held: Vec::new(), released: 0, end: None, shutdown, linger: None }
    }
}

impl<S, F> RequestFilter<S, F> {
    /// Checks `bytes`, which follow those that were passed on, and returns how many of them may be passed on. The others
    /// are an incomplete header or follow the end of the valid input.
    fn check(&mut self, bytes: &[u8]) -> usize {
        let mut passed = 0;
        while passed < bytes.len() && self.end.is_none() {
            let rest = &bytes[passed..];
            match &mut self.state {
                State::Header => match self.parser.parse(rest) {
                    Ok(Progress::Incomplete) => return passed,
                    Ok(Progress::Complete { header_bytes, body }) => {
                        passed += header_bytes;
                        match body {
                            BodyLength::Bytes(0) => {}
                            BodyLength::Bytes(bytes_left) => self.state = State::Body { bytes_left },
                            BodyLength::Chunked => self.state = State::Chunked(ChunkScanner::default()),
                        }
                    }
                    Err(refusal) => self.end = Some(End::Refused { refusal, is_head: self.parser.is_head() }),
                },
                State::Body { bytes_left } => {
                    let length = usize::try_from(*bytes_left).unwrap_or(usize::MAX).min(rest.len());
                    passed += length;
                    *bytes_left -= length as u64;
                    if *bytes_left == 0 {
                        self.state = State::Header;
                    }
                }
                State::Chunked(scanner) => match scanner.scan(rest) {
                    Ok(None) => passed = bytes.len(),
                    Ok(Some(length)) => {
                        passed += length;
                        self.state = State::Header;
                    }
                    Err(_) => self.end = Some(End::InvalidBody),
                },
            }
        }
        passed
    }

    /// Passes on held bytes. Returns false if no bytes may be passed on.
    fn pass_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        if self.released == 0 {
            return false;
        }
        let length = self.released.min(buf.remaining());
        buf.put_slice(&self.held[..length]);
        self.released -= length;
        if length == self.held.len() {
            // Most connections are idle most of the time.
            self.held = Vec::new();
        } else {
            self.held.drain(..length);
        }
        true
    }

    /// Tells the reader that the input has ended.
    fn pass_on_end(&mut self, end: End) -> io::Result<()> {
        if matches!(self.shutdown, Shutdown::NotStarted) {
            self.shutdown = Shutdown::EndPassedOn(match end {
                End::Refused { refusal, is_head } => Some((refusal, is_head)),
                End::InvalidBody | End::Closed => None,
            });
        }
        match end {
            End::Refused { .. } | End::Closed => Ok(()),
            End::InvalidBody => Err(io::Error::new(io::ErrorKind::InvalidData, "the chunked body is invalid")),
        }
    }

    /// True if the client may still be sending a request that is not read.
    fn has_unread_input(&self) -> bool {
        let is_refused = matches!(self.end, Some(End::Refused { .. } | End::InvalidBody));
        let is_body = matches!(self.state, State::Body { .. } | State::Chunked(_)) && self.end != Some(End::Closed);
        is_refused || is_body
    }
}

impl<S: AsyncRead + Unpin, F> RequestFilter<S, F> {
    /// Reads on after an incomplete header. Returns the number of bytes read.
    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        self.held.extend_from_slice(buffer.filled());
        let held = std::mem::take(&mut self.held);
        self.released = self.check(&held);
        self.held = held;
        if self.end.is_some() {
            self.held.truncate(self.released);
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Discards input until the client closes the connection or [`LINGER`] is over.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut buffer = [0; READ_BYTES];
        loop {
            if timer.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut buffer);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

impl<S: AsyncRead + Unpin, F: Unpin> AsyncRead for RequestFilter<S, F> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.pass_on(buf) {
                return Poll::Ready(Ok(()));
            }
            if let Some(end) = this.end {
                return Poll::Ready(this.pass_on_end(end));
            }
            if !this.held.is_empty() {
                if ready!(this.poll_hold(context))? == 0 {
                    this.end = Some(End::Closed);
                }
                continue;
            }
            // Most reads end with a complete request, which stays where it is.
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buf))?;
            let bytes = &buf.filled()[before..];
            if bytes.is_empty() {
                this.end = Some(End::Closed);
                continue;
            }
            let passed = this.check(bytes);
            if this.end.is_none() {
                this.held.extend_from_slice(&bytes[passed..]);
            }
            buf.set_filled(before + passed);
            if passed > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S, F, B> AsyncWrite for RequestFilter<S, F>
where
    S: AsyncRead + AsyncWrite + Unpin,
    F: Fn(Refusal) -> Response<B> + Unpin,
    B: AsRef<[u8]>,
{
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            this.shutdown = match &mut this.shutdown {
                Shutdown::EndPassedOn(Some((refusal, is_head))) => {
                    let bytes = refusal::encode(&(this.respond)(*refusal), !*is_head);
                    Shutdown::Respond { bytes, written: 0 }
                }
                Shutdown::Respond { bytes, written } if *written < bytes.len() => {
                    let stream = Pin::new(&mut this.stream);
                    match ready!(stream.poll_write(context, &bytes[*written..]))? {
                        0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        length => *written += length,
                    }
                    continue;
                }
                Shutdown::NotStarted | Shutdown::EndPassedOn(None) | Shutdown::Respond { .. } => Shutdown::Close,
                Shutdown::Close => {
                    ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                    if !this.has_unread_input() {
                        return Poll::Ready(Ok(()));
                    }
                    Shutdown::Discard
                }
                Shutdown::Discard => return this.poll_discard(context).map(Ok),
            };
        }
    }
}

impl<S, F> fmt::Debug for RequestFilter<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFilter").field("state", &self.state).field("end", &self.end).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
