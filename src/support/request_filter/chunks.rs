//! Finds the end of a chunked body (RFC 9112 section 7.1) and checks its syntax.

use super::HEADER_BYTES_MAX;
use super::syntax;
use crate::support::characters::{TOKEN, leading};

/// The state of scanning one body.
#[derive(Debug, Default)]
pub(super) struct ChunkScanner {
    state: State,
    /// The current line: a chunk size with its extensions, or a trailer.
    line: Vec<u8>,
    /// Length of all trailers so far.
    trailer_bytes: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data {
        bytes_left: u64,
    },
    /// The line terminator after the data of a chunk.
    DataEnd,
    Trailers,
}

/// The body is not a valid chunked body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InvalidChunk;

/// Maximum length of the line with the size of a chunk.
const SIZE_LINE_BYTES_MAX: usize = 256;

const FORBIDDEN_TRAILERS: &[&[u8]] = &[b"content-length", b"transfer-encoding", b"host"];

/// Maximum number of digits of a size: more than any body needs, and less than 64 bits.
const SIZE_DIGITS_MAX: usize = 15;

impl ChunkScanner {
    /// Scans the next bytes of the body. Returns the number of bytes up to its end, or `None` if all bytes belong to it.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Result<Option<usize>, InvalidChunk> {
        let mut at = 0;
        while at < bytes.len() {
            if let State::Data { bytes_left } = self.state {
                let length = usize::try_from(bytes_left).unwrap_or(usize::MAX).min(bytes.len() - at);
                at += length;
                let bytes_left = bytes_left - length as u64;
                self.state = if bytes_left == 0 { State::DataEnd } else { State::Data { bytes_left } };
                continue;
            }
            let end = memchr::memchr(b'\n', &bytes[at..]).map(|found| at + found);
            self.push(&bytes[at..end.unwrap_or(bytes.len())])?;
            let Some(end) = end else { return Ok(None) };
            at = end + 1;
            if self.end_line()? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Appends to the current line.
    fn push(&mut self, piece: &[u8]) -> Result<(), InvalidChunk> {
        let length = self.line.len() + piece.len();
        let is_too_long = match self.state {
            State::Size | State::Data { .. } => length > SIZE_LINE_BYTES_MAX,
            State::DataEnd => length > 1,
            State::Trailers => self.trailer_bytes + length > HEADER_BYTES_MAX,
        };
        if is_too_long {
            return Err(InvalidChunk);
        }
        self.line.extend_from_slice(piece);
        Ok(())
    }

    /// Evaluates the current line. Returns true at the end of the body.
    fn end_line(&mut self) -> Result<bool, InvalidChunk> {
        let line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").ok_or(InvalidChunk)?;
        self.state = match self.state {
            State::Size => match chunk_size(text)? {
                0 => State::Trailers,
                bytes_left => State::Data { bytes_left },
            },
            State::DataEnd if text.is_empty() => State::Size,
            State::Trailers if text.is_empty() => return Ok(true),
            State::Trailers => {
                let (name, rest) = text.split_at(leading(text, TOKEN));
                if name.is_empty() || !rest.starts_with(b":") || syntax::find_control(rest).is_some() {
                    return Err(InvalidChunk);
                }
                // Trailers must not determine the length or the recipient of the message (RFC 9110 section 6.5.1).
                if FORBIDDEN_TRAILERS.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden)) {
                    return Err(InvalidChunk);
                }
                self.trailer_bytes += line.len();
                State::Trailers
            }
            State::DataEnd | State::Data { .. } => return Err(InvalidChunk),
        };
        Ok(false)
    }
}

/// Parses `size` or `size;name=value;...`. Whitespace is not allowed.
fn chunk_size(line: &[u8]) -> Result<u64, InvalidChunk> {
    let (size, extensions) = line.split_at(memchr::memchr(b';', line).unwrap_or(line.len()));
    if size.is_empty() || size.len() > SIZE_DIGITS_MAX || !size.iter().all(u8::is_ascii_hexdigit) {
        return Err(InvalidChunk);
    }
    let size = str::from_utf8(size).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or(InvalidChunk)?;
    check_extensions(extensions)?;
    Ok(size)
}

/// Checks `;name=value;name="value"`.
fn check_extensions(mut rest: &[u8]) -> Result<(), InvalidChunk> {
    while let Some(extension) = rest.strip_prefix(b";") {
        let name_bytes = leading(extension, TOKEN);
        if name_bytes == 0 {
            return Err(InvalidChunk);
        }
        rest = &extension[name_bytes..];
        let Some(value) = rest.strip_prefix(b"=") else { continue };
        let value_bytes = match value.strip_prefix(b"\"") {
            Some(quoted) => 1 + quoted_bytes(quoted).ok_or(InvalidChunk)?,
            None => leading(value, TOKEN),
        };
        if value_bytes == 0 {
            return Err(InvalidChunk);
        }
        rest = &value[value_bytes..];
    }
    if rest.is_empty() { Ok(()) } else { Err(InvalidChunk) }
}

/// The length of a quoted string after its opening quote, with the closing quote.
fn quoted_bytes(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    })?;
    (syntax::find_control(&text[..end]).is_none()).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans `body` in pieces of every size. Returns the position of its end.
    #[track_caller]
    fn end_of(body: &str) -> Result<Option<usize>, InvalidChunk> {
        let results: Vec<_> = (1..=body.len()).map(|size| scan_in_pieces(body.as_bytes(), size)).collect();
        assert!(results.windows(2).all(|pair| pair[0] == pair[1]), "{body:?}: {results:?}");
        results.into_iter().next().unwrap()
    }

    fn scan_in_pieces(body: &[u8], size: usize) -> Result<Option<usize>, InvalidChunk> {
        let mut scanner = ChunkScanner::default();
        for (n, piece) in body.chunks(size).enumerate() {
            if let Some(end) = scanner.scan(piece)? {
                return Ok(Some(n * size + end));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_end_of_a_valid_body_is_found() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "5\r\nh\r\n\no\r\n00\r\n\r\n",
            "A;a;b=c;d=\"e;\\\"\"\r\n0123456789\r\n0\r\n\r\n",
            "1\r\na\r\n0\r\nName: value\r\nOther:\r\n\r\n",
        ] {
            assert_eq!(end_of(&format!("{body}GET /")), Ok(Some(body.len())), "{body:?}");
            assert_eq!(end_of(&body[..body.len() - 1]), Ok(None), "{body:?}");
        }
    }

    #[test]
    fn invalid_chunks_are_refused_however_they_are_split() {
        for body in [
            "\r\n",
            "zz\r\n",
            "-1\r\n",
            "+5\r\nhello\r\n",
            "0x5\r\nhello\r\n",
            " 5\r\nhello\r\n",
            "5 \r\nhello\r\n",
            "5\t;a\r\nhello\r\n",
            "5\nhello\r\n",
            "5\r\nhello\n",
            "5\r\nhello!\r\n",
            "5\r\nhello\r\r\n",
            "5;\r\nhello\r\n",
            "5;a=\r\nhello\r\n",
            "5;a=\"b\r\nhello\r\n",
            "5; a\r\nhello\r\n",
            "5;a\rb\r\nhello\r\n",
            "5;a\0\r\nhello\r\n",
            "FFFFFFFFFFFFFFFF\r\n",
            "10000000000000005\r\n",
            "0\r\n folded\r\n\r\n",
            "0\r\nname : value\r\n\r\n",
            "0\r\nContent-Length: 5\r\n\r\n",
            "0\r\ntransfer-encoding: chunked\r\n\r\n",
            "0\r\nname\r\n\r\n",
            "0\r\nname: a\nb\r\n\r\n",
            "0\r\n\n",
        ] {
            assert_eq!(end_of(body), Err(InvalidChunk), "{body:?}");
        }
        let long = format!("5;{}\r\n", "a".repeat(SIZE_LINE_BYTES_MAX));
        assert_eq!(end_of(&long), Err(InvalidChunk));
        let trailers = format!("0\r\n{}\r\n", "name: value\r\n".repeat(HEADER_BYTES_MAX / 10));
        assert_eq!(scan_in_pieces(trailers.as_bytes(), 1000), Err(InvalidChunk));
    }
}
