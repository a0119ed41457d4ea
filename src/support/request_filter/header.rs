//! Parses the header of a request, line by line as the bytes arrive. Of valid fields it keeps a copy, to recognize them.

use super::refusal::Refusal;
use super::request_line::{self, Method};
use super::{FIELDS_MAX, HEADER_BYTES_MAX, syntax};
use crate::support::authority;
use crate::support::characters::{TOKEN, leading};

/// The state of parsing one header. Positions count from its first byte.
#[derive(Debug, Default)]
pub(super) struct HeaderParser {
    line_start: usize,
    method: Option<Method>,
    is_http_10: bool,
    fields: usize,
    has_host: bool,
    has_transfer_encoding: bool,
    content_length: Option<u64>,
    /// The field lines of the last valid GET request, with the empty line after them. Most clients repeat them, and they are
    /// valid again: the validity of fields depends on their bytes, the method and the version only.
    last_fields: Vec<u8>,
}

/// Maximum length of the field lines that are kept, because most connections are idle most of the time.
const LAST_FIELDS_BYTES_MAX: usize = 1024;

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
        while self.method.is_none() {
            let Some(line_bytes) = self.add_request_line(&bytes[self.line_start..])? else {
                return incomplete(bytes);
            };
            self.line_start += line_bytes;
            if self.line_start >= HEADER_BYTES_MAX {
                return Err(self.method.map_or(request_line::METHOD, |_| Refusal::HeaderTooLarge));
            }
        }
        let fields = &bytes[self.line_start..];
        let can_repeat = self.method == Some(Method::Get) && !self.is_http_10 && self.fields == 0;
        if can_repeat && !self.last_fields.is_empty() && fields.starts_with(&self.last_fields) {
            return self.complete(self.line_start + self.last_fields.len(), BodyLength::Bytes(0));
        }
        let mut rest = fields;
        while let Some((name, value, after)) = split_field(rest) {
            self.add_field(name, value)?;
            rest = after;
        }
        self.line_start = bytes.len() - rest.len();
        if !rest.starts_with(b"\r\n") {
            return check_incomplete_field(rest).and_then(|()| incomplete(bytes));
        }
        let (header_bytes, body) = (self.line_start + 2, self.body_length()?);
        let field_bytes = fields.len() - rest.len() + 2;
        if can_repeat && field_bytes <= LAST_FIELDS_BYTES_MAX {
            self.last_fields.clear();
            self.last_fields.extend_from_slice(&fields[..field_bytes]);
        }
        self.complete(header_bytes, body)
    }

    /// Prepares for the next header.
    fn complete(&mut self, header_bytes: usize, body: BodyLength) -> Result<Progress, Refusal> {
        if header_bytes >= HEADER_BYTES_MAX {
            return Err(Refusal::HeaderTooLarge);
        }
        *self = Self { last_fields: std::mem::take(&mut self.last_fields), ..Self::default() };
        Ok(Progress::Complete { header_bytes, body })
    }

    /// True if the response to the request must have no body.
    pub(super) fn is_head(&self) -> bool {
        self.method == Some(Method::Head)
    }

    /// Evaluates the request line that `rest` begins with. Returns its length with its terminator, or `None` if it is
    /// incomplete.
    fn add_request_line(&mut self, rest: &[u8]) -> Result<Option<usize>, Refusal> {
        if let Some(line_bytes) = request_line::usual_line_bytes(rest) {
            self.method = Some(Method::Get);
            return Ok(Some(line_bytes));
        }
        let Some(end) = memchr::memchr(b'\n', rest) else { return request_line::check_incomplete(rest).map(|()| None) };
        let line = rest[..end].strip_suffix(b"\r").ok_or(BARE_LF)?;
        // Empty lines before a request are ignored (RFC 9112 section 2.2).
        if !line.is_empty() {
            let (method, is_http_10) = request_line::parse(line)?;
            (self.method, self.is_http_10) = (Some(method), is_http_10);
        }
        Ok(Some(end + 1))
    }

    /// Evaluates a field. Only a few determine the recipient and the length of the request.
    fn add_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Refusal::HeaderTooLarge);
        }
        match name.len() {
            4 if is_named(name, b"host") => {
                if std::mem::replace(&mut self.has_host, true) {
                    return Err(Refusal::BadRequest("the request has more than one Host header"));
                }
                if !authority::is_valid(value.trim_ascii()) {
                    return Err(Refusal::BadRequest("the Host header is not a host with an optional port"));
                }
            }
            14 if is_named(name, b"content-length") => {
                let length = content_length(value.trim_ascii());
                let length = length.ok_or(Refusal::BadRequest("Content-Length is not a number of bytes"))?;
                if self.content_length.replace(length).is_some() {
                    return Err(Refusal::BadRequest("the request has more than one Content-Length"));
                }
            }
            17 if is_named(name, b"transfer-encoding") => {
                let is_chunked = value.trim_ascii().eq_ignore_ascii_case(b"chunked");
                if std::mem::replace(&mut self.has_transfer_encoding, true) || !is_chunked {
                    return Err(Refusal::BadRequest("the only supported transfer coding is chunked"));
                }
            }
            _ => {}
        }
        Ok(())
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
// A space before the colon and a line that continues the previous one are invalid (RFC 9112 sections 5.1 and 5.2).
const NAME: Refusal = Refusal::BadRequest("a header line does not begin with a name and a colon");

/// Returns the progress if no line ends in `bytes` after the ones that were evaluated.
fn incomplete(bytes: &[u8]) -> Result<Progress, Refusal> {
    if bytes.len() < HEADER_BYTES_MAX { Ok(Progress::Incomplete) } else { Err(Refusal::HeaderTooLarge) }
}

/// Splits off the field line that `rest` begins with: its name, its value and the bytes after it. The first control
/// character after the name is the terminator of a valid line.
fn split_field(rest: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = rest.split_at_checked(leading(rest, TOKEN)).filter(|(name, _)| !name.is_empty())?;
    let rest = rest.strip_prefix(b":")?;
    let (value, rest) = rest.split_at_checked(syntax::find_control(rest)?)?;
    Some((name, value, rest.strip_prefix(b"\r\n")?))
}

/// Compares a name with one in lower case. All bytes are compared at once: the names are as long, so most that get here are
/// equal.
fn is_named(name: &[u8], lowercase: &[u8]) -> bool {
    // Only a control character, which is not valid in a name, becomes a hyphen.
    name.iter().zip(lowercase).fold(0, |different, (byte, lower)| different | (byte | 0x20) ^ lower) == 0
}

/// Refuses a line that is invalid whatever follows, so that the client need not finish it.
fn check_incomplete_field(line: &[u8]) -> Result<(), Refusal> {
    let (name, rest) = line.split_at(leading(line, TOKEN));
    let value = match rest {
        [] => return Ok(()),
        [b'\r'] if name.is_empty() => return Ok(()),
        [b':', value @ ..] if !name.is_empty() => value,
        [b'\n', ..] => return Err(BARE_LF),
        _ => return Err(NAME),
    };
    match &value[syntax::find_control(value).unwrap_or(value.len())..] {
        // A CR may be the first byte of the line terminator.
        [] | [b'\r'] => Ok(()),
        [b'\n', ..] => Err(BARE_LF),
        _ => Err(CONTROL),
    }
}

/// Parses digits only; `str::parse` would also accept `+5`. Larger numbers are no length of a body.
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|length| *length <= i64::MAX.unsigned_abs())
}
