//! Determines the length of a request body from its header, to find the start of the next request.

/// Collects the header fields that determine the message length (RFC 9112 section 6).
#[derive(Debug)]
pub(super) struct MessageLength {
    /// The beginning of the current line.
    line: [u8; LINE_BYTES],
    line_bytes: usize,
    is_http2: bool,
    has_transfer_encoding: bool,
    content_length: ContentLength,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ContentLength {
    Absent,
    Bytes(u64),
    /// The header was sent twice, or its value is not a number.
    Invalid,
}

/// The data that follows the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Request,
    /// A body of this many bytes.
    Body(u64),
    /// HTTP/2 frames, or a chunked body whose end only hyper knows. The connection closes after a chunked body.
    Unknown,
    /// Another proxy could determine a different length.
    Ambiguous,
}

/// Size of the line buffer: longer than any line that determines the message length.
const LINE_BYTES: usize = 64;

/// The first line of the HTTP/2 connection preface (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

impl Default for MessageLength {
    fn default() -> Self {
        Self {
            line: [0; LINE_BYTES],
            line_bytes: 0,
            is_http2: false,
            has_transfer_encoding: false,
            content_length: ContentLength::Absent,
        }
    }
}

impl MessageLength {
    /// Appends a piece of the current line.
    pub(super) fn push(&mut self, piece: &[u8]) {
        for byte in piece.iter().take(LINE_BYTES.saturating_sub(self.line_bytes)) {
            self.line[self.line_bytes] = *byte;
            self.line_bytes += 1;
        }
    }

    /// Evaluates the current line and starts the next one.
    pub(super) fn end_line(&mut self) {
        let line = &self.line[..self.line_bytes];
        let is_complete = line.len() < LINE_BYTES;
        let line = line.trim_ascii_end();
        self.line_bytes = 0;
        if line == HTTP2_PREFACE {
            self.is_http2 = true;
        }
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.has_transfer_encoding = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length = match (self.content_length, parse_digits(value)) {
                (ContentLength::Absent, Some(bytes)) if is_complete => ContentLength::Bytes(bytes),
                _ => ContentLength::Invalid,
            };
        }
    }

    /// Returns the data that follows the header. The header must be complete.
    pub(super) fn next(self) -> Next {
        match (self.content_length, self.has_transfer_encoding) {
            _ if self.is_http2 => Next::Unknown,
            (ContentLength::Invalid, _) | (ContentLength::Bytes(_), true) => Next::Ambiguous,
            (ContentLength::Absent, true) => Next::Unknown,
            (ContentLength::Absent | ContentLength::Bytes(0), false) => Next::Request,
            (ContentLength::Bytes(bytes), false) => Next::Body(bytes),
        }
    }
}

/// Parses digits only; `str::parse` would also accept `+5`.
fn parse_digits(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
