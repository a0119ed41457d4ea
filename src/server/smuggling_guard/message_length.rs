//! Where a request ends, as its header says: only so much as is needed to find the next one.

/// What the lines of a header have said so far.
#[derive(Debug)]
pub(super) struct Extent {
    /// The beginning of the line that is being read.
    line: [u8; LINE_BYTES],
    line_bytes: usize,
    is_http2: bool,
    has_coding: bool,
    length: Length,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    NotSaid,
    Bytes(u64),
    /// Said twice, or not as a number.
    Doubtful,
}

/// What comes behind the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    Request,
    Body(u64),
    /// HTTP/2, or a body of chunks: only hyper knows where it ends, and the connection is closed behind it.
    Unknown,
    /// Others may see another end.
    Doubt,
}

/// Longer than any line that matters.
const LINE_BYTES: usize = 64;

/// The first line of HTTP/2's preface (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0";

impl Default for Extent {
    fn default() -> Self {
        Self { line: [0; LINE_BYTES], line_bytes: 0, is_http2: false, has_coding: false, length: Length::NotSaid }
    }
}

impl Extent {
    /// More of the line, which may come in pieces.
    pub(super) fn read(&mut self, piece: &[u8]) {
        for byte in piece.iter().take(LINE_BYTES.saturating_sub(self.line_bytes)) {
            self.line[self.line_bytes] = *byte;
            self.line_bytes += 1;
        }
    }

    pub(super) fn end_line(&mut self) {
        let line = &self.line[..self.line_bytes];
        let is_whole = line.len() < LINE_BYTES;
        let line = line.trim_ascii_end();
        self.line_bytes = 0;
        if line == PREFACE {
            self.is_http2 = true;
        }
        let Some(colon) = memchr::memchr(b':', line) else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.has_coding = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            self.length = match (self.length, number(value)) {
                (Length::NotSaid, Some(bytes)) if is_whole => Length::Bytes(bytes),
                _ => Length::Doubtful,
            };
        }
    }

    pub(super) fn follows(self) -> Follows {
        match (self.length, self.has_coding) {
            _ if self.is_http2 => Follows::Unknown,
            (Length::Doubtful, _) | (Length::Bytes(_), true) => Follows::Doubt,
            (Length::NotSaid, true) => Follows::Unknown,
            (Length::NotSaid | Length::Bytes(0), false) => Follows::Request,
            (Length::Bytes(bytes), false) => Follows::Body(bytes),
        }
    }
}

/// Digits alone: not `+5`, which `parse` takes.
fn number(text: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(text).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
