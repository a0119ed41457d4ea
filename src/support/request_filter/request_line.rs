//! Parses the request line (RFC 9112 section 3).

use http::Uri;

use super::refusal::Refusal;
use super::{TARGET_BYTES_MAX, syntax};
use crate::support::authority;
use crate::support::characters::{TARGET, TOKEN, leading};

/// The methods with different rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Head,
    Connect,
    Options,
    Other,
}

/// Maximum length of a method: longer than any registered one.
const METHOD_BYTES_MAX: usize = 32;

pub(super) const METHOD: Refusal = Refusal::BadRequest("the request line does not begin with a method");
const INVALID_TARGET: Refusal = Refusal::BadRequest("the request target is invalid");
const LINE: Refusal = Refusal::BadRequest("the request line is not a method, a target and a version");

/// The length of the line that `bytes` begins with if it has the form of most requests: `GET`, a path and HTTP/1.1.
pub(super) fn usual_line_bytes(bytes: &[u8]) -> Option<usize> {
    let target = bytes.strip_prefix(b"GET ").filter(|target| target.starts_with(b"/"))?;
    let target_bytes = leading(target, TARGET);
    let is_usual = target_bytes <= TARGET_BYTES_MAX && target[target_bytes..].starts_with(b" HTTP/1.1\r\n");
    is_usual.then_some(4 + target_bytes + 11)
}

/// Returns the method, and true for HTTP/1.0 or false for HTTP/1.1.
pub(super) fn parse(line: &[u8]) -> Result<(Method, bool), Refusal> {
    let method = &line[..leading(line, TOKEN)];
    let rest = line[method.len()..].strip_prefix(b" ").ok_or(METHOD)?;
    if method.is_empty() || method.len() > METHOD_BYTES_MAX {
        return Err(METHOD);
    }
    let target_end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    if target_end > TARGET_BYTES_MAX {
        return Err(Refusal::TargetTooLong);
    }
    let (target, version) = rest.split_at(target_end);
    let is_http_10 = match version {
        b" HTTP/1.1" => false,
        b" HTTP/1.0" => true,
        [b' ', b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Refusal::Version),
        _ => return Err(LINE),
    };
    let method = match method {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"CONNECT" => Method::Connect,
        b"OPTIONS" => Method::Options,
        _ => Method::Other,
    };
    if is_target(method, target) { Ok((method, is_http_10)) } else { Err(INVALID_TARGET) }
}

/// Refuses a line that is invalid whatever follows.
pub(super) fn check_incomplete(line: &[u8]) -> Result<(), Refusal> {
    let method_bytes = leading(line, TOKEN);
    if method_bytes > METHOD_BYTES_MAX {
        return Err(METHOD);
    }
    match line[method_bytes..].split_first() {
        None => Ok(()),
        // The first byte of an empty line.
        Some((b'\r', [])) if method_bytes == 0 => Ok(()),
        Some((b' ', rest)) if method_bytes > 0 => {
            if memchr::memchr(b' ', rest).unwrap_or(rest.len()) > TARGET_BYTES_MAX {
                return Err(Refusal::TargetTooLong);
            }
            let complete = rest.split_last().map_or(rest, |(_, complete)| complete);
            if complete.contains(&b'\t') || syntax::find_control(complete).is_some() { Err(LINE) } else { Ok(()) }
        }
        Some(_) => Err(METHOD),
    }
}

/// True if the target has a form that the method allows (section 3.2).
fn is_target(method: Method, target: &[u8]) -> bool {
    match target {
        _ if method == Method::Connect => target.contains(&b':') && authority::is_valid(target),
        [b'/', ..] => syntax::is_path_and_query(target),
        b"*" => method == Method::Options,
        // The absolute form, which only clients of a proxy send.
        _ => Uri::try_from(target).is_ok_and(|uri| {
            let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
            is_http
                && uri.authority().is_some_and(|authority| authority::is_valid(authority.as_str().as_bytes()))
                && !target.contains(&b'#')
        }),
    }
}
