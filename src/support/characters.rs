//! Character classes of HTTP/1.1 and URIs (RFC 9110 section 5.6, RFC 3986 appendix A).

/// Characters of a token, such as the name of a header field.
pub const TOKEN: u8 = 1;
/// Characters of a path.
pub const PATH: u8 = 2;
/// Characters of a query, with the question mark before it.
pub const QUERY: u8 = 4;
/// Characters that are valid both in a path and in a query, and the question mark between them.
pub const TARGET: u8 = 8;
/// Characters of a registered name that need no escape.
pub const HOST: u8 = 16;

/// The classes of each byte.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = classes_of(byte as u8);
        byte += 1;
    }
    classes
}

const fn classes_of(byte: u8) -> u8 {
    let is_alphanumeric = byte.is_ascii_alphanumeric();
    let is_token = is_alphanumeric
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        );
    // Clients send some characters that should be escaped. The parser of `http::Uri` accepts the same ones.
    let is_path = matches!(byte,
        b'!' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'z' | b'|' | b'~' | b'"' | b'{' | b'}');
    let is_query = matches!(byte, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~');
    let is_host =
        is_alphanumeric || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&'..=b',' | b';' | b'=');
    let is_target = is_path && is_query || byte == b'?';
    let mut classes = 0;
    if is_token {
        classes |= TOKEN;
    }
    if is_path {
        classes |= PATH;
    }
    if is_query {
        classes |= QUERY;
    }
    if is_target {
        classes |= TARGET;
    }
    if is_host {
        classes |= HOST;
    }
    classes
}

/// The number of bytes of `class`, one of the constants above, that `bytes` begins with.
#[must_use]
pub fn leading(bytes: &[u8], class: u8) -> usize {
    let mut at = 0;
    // One branch for several bytes.
    while let Some(next) = bytes[at..].first_chunk::<4>()
        && are_all(next, class)
    {
        at += next.len();
    }
    at + bytes[at..].iter().take_while(|byte| CLASSES[usize::from(**byte)] & class != 0).count()
}

/// True if all bytes are of `class`.
#[must_use]
pub fn are_all(bytes: &[u8], class: u8) -> bool {
    bytes.iter().fold(class, |all, byte| all & CLASSES[usize::from(*byte)]) != 0
}
