//! Parses the header of a request, line by line as the bytes arrive, without keeping any.

use super::refusal::Refusal;
use super::request_line::{self, Method};
use super::{FIELDS_MAX, HEADER_BYTES_MAX, syntax};
use crate::support::authority;

/// The state of parsing one header. Positions count from its first byte.
#[derive(Debug, Default)]
pub(super) struct HeaderParser {
    line_start: usize,
    /// The current line has no line terminator before this position.
    searched: usize,
    method: Option<Method>,
    is_http_10: bool,
    fields: usize,
    has_host: bool,
    has_transfer_encoding: bool,
    content_length: Option<u64>,
}

/// The result of parsing the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Incomplete,
    Complete { header_bytes: usize, body: BodyLength },
}

/// The length of the body after a header (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyLength {
    Bytes(u64),
    Chunked,
}

impl HeaderParser {
    /// Parses `bytes`, which begin with the first byte of the header and with all bytes of earlier calls.
    pub(super) fn parse(&mut self, bytes: &[u8]) -> Result<Progress, Refusal> {
        loop {
            let Some(found) = memchr::memchr(b'\n', &bytes[self.searched..]) else {
                self.check_incomplete_line(&bytes[self.line_start..])?;
                self.searched = bytes.len();
                let is_too_large = bytes.len() >= HEADER_BYTES_MAX;
                return if is_too_large { Err(Refusal::HeaderTooLarge) } else { Ok(Progress::Incomplete) };
            };
            let line = &bytes[self.line_start..self.searched + found];
            let line = line.strip_suffix(b"\r").ok_or(BARE_LF)?;
            self.searched += found + 1;
            self.line_start = self.searched;
            if self.line_start >= HEADER_BYTES_MAX {
                return Err(self.too_large(line));
            }
            if self.method.is_none() {
                // Empty lines before a request are ignored (RFC 9112 section 2.2).
                if !line.is_empty() {
                    (self.method, self.is_http_10) =
                        request_line::parse(line).map(|(method, old)| (Some(method), old))?;
                }
            } else if line.is_empty() {
                return Ok(Progress::Complete { header_bytes: self.line_start, body: self.body_length()? });
            } else {
                self.add_field(line)?;
            }
        }
    }

    /// True if the response to the request must have no body.
    pub(super) fn is_head(&self) -> bool {
        self.method == Some(Method::Head)
    }

    /// Refuses a line that is invalid whatever follows, so that the client need not finish it.
    fn check_incomplete_line(&self, line: &[u8]) -> Result<(), Refusal> {
        if self.method.is_none() {
            request_line::check_incomplete(line)
        } else {
            // The last byte may be the CR of the line terminator.
            let complete = line.split_last().map_or(line, |(_, complete)| complete);
            if syntax::has_control(complete) { Err(CONTROL) } else { Ok(()) }
        }
    }

    /// The refusal of a header that ends too late.
    fn too_large(&self, line: &[u8]) -> Refusal {
        match self.method {
            None => request_line::parse(line).err().unwrap_or(Refusal::HeaderTooLarge),
            Some(_) => Refusal::HeaderTooLarge,
        }
    }

    /// Evaluates a field line: `name: value`.
    fn add_field(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Refusal::HeaderTooLarge);
        }
        let (name, value) = split_name(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                if std::mem::replace(&mut self.has_host, true) {
                    return Err(Refusal::BadRequest("the request has more than one Host header"));
                }
                if !authority::is_valid(value.trim_ascii()) {
                    return Err(Refusal::BadRequest("the Host header is not a host with an optional port"));
                }
                return Ok(());
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let length = content_length(value.trim_ascii());
                let length = length.ok_or(Refusal::BadRequest("Content-Length is not a number of bytes"))?;
                if self.content_length.replace(length).is_some() {
                    return Err(Refusal::BadRequest("the request has more than one Content-Length"));
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let is_chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if std::mem::replace(&mut self.has_transfer_encoding, true) || !is_chunked {
                    return Err(Refusal::BadRequest("the only supported transfer coding is chunked"));
                }
            }
            _ => {}
        }
        if syntax::has_control(value) { Err(CONTROL) } else { Ok(()) }
    }

    /// Returns the length of the body after a complete header.
    fn body_length(&self) -> Result<BodyLength, Refusal> {
        if !self.has_host && !self.is_http_10 {
            return Err(Refusal::BadRequest("an HTTP/1.1 request needs a Host header"));
        }
        let body = match (self.has_transfer_encoding, self.content_length) {
            (true, _) if self.is_http_10 => return Err(Refusal::BadRequest("HTTP/1.0 has no transfer codings")),
            (true, Some(_)) => {
                return Err(Refusal::BadRequest("the request has a Content-Length and a Transfer-Encoding"));
            }
            (true, None) => BodyLength::Chunked,
            (false, bytes) => BodyLength::Bytes(bytes.unwrap_or(0)),
        };
        let forbids_body = matches!(self.method, Some(Method::Get | Method::Head));
        if forbids_body && body != BodyLength::Bytes(0) {
            // It has no meaning and has been used to smuggle requests (RFC 9110 section 9.3.1).
            return Err(Refusal::BadRequest("a GET or HEAD request must not have a body"));
        }
        Ok(body)
    }
}

const BARE_LF: Refusal = Refusal::BadRequest("a line ends with LF instead of CR LF");
const CONTROL: Refusal = Refusal::BadRequest("the header contains a control character");

/// Splits a field line and checks the characters of its value.
pub(super) fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let (name, value) = split_name(line)?;
    if syntax::has_control(value) { Err(CONTROL) } else { Ok((name, value)) }
}

/// Splits a field line. A space before the colon and a line that continues the previous one are invalid (RFC 9112
/// sections 5.1 and 5.2).
fn split_name(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let (name, rest) = line.split_at(syntax::token_bytes(line));
    match rest.split_first() {
        Some((b':', value)) if !name.is_empty() => Ok((name, value)),
        _ => Err(Refusal::BadRequest("a header line does not begin with a name and a colon")),
    }
}

/// Parses digits only; `str::parse` would also accept `+5`. Larger numbers are no length of a body.
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|length| *length <= i64::MAX.unsigned_abs())
}
