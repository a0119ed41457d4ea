//! Character classes of HTTP/1.1 (RFC 9110 section 5.6, RFC 3986 appendix A).

const TOKEN: u8 = 1;
const PATH: u8 = 2;
const QUERY: u8 = 4;

/// The classes of each byte.
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let is_token = match byte as u8 {
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~' => {
                true
            }
            byte => byte.is_ascii_alphanumeric(),
        };
        // Clients send some characters that should be escaped. The parser of `http::Uri` accepts the same ones.
        let is_path = matches!(byte as u8,
            b'!' | b'$'..=b';' | b'=' | b'@'..=b'_' | b'a'..=b'z' | b'|' | b'~' | b'"' | b'{' | b'}');
        let is_query = matches!(byte as u8, b'!' | b'$'..=b';' | b'=' | b'?'..=b'~');
        classes[byte] =
            if is_token { TOKEN } else { 0 } | if is_path { PATH } else { 0 } | if is_query { QUERY } else { 0 };
        byte += 1;
    }
    classes
}

/// The number of token characters that `bytes` begins with.
pub(super) fn token_bytes(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| CLASSES[usize::from(*byte)] & TOKEN == 0).unwrap_or(bytes.len())
}

/// True for a path with an optional query. Other characters than ASCII must be escaped, and a fragment is not part of a
/// request target.
pub(super) fn is_path_and_query(target: &[u8]) -> bool {
    let has = |bytes: &[u8], class| bytes.iter().fold(class, |all, byte| all & CLASSES[usize::from(*byte)]) == class;
    if has(target, PATH) {
        return true;
    }
    let (path, query) = target.split_at(memchr::memchr(b'?', target).unwrap_or(target.len()));
    has(path, PATH) && has(query, QUERY)
}

/// True if `bytes` contain a control character other than a tab.
pub(super) fn has_control(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGH_BITS: u64 = ONES << 7;
    let is_control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    let (words, rest) = bytes.as_chunks::<8>();
    // Subtraction finds a byte below a limit in a whole word. Tabs make a word worth a closer look.
    let is_suspect = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        let delete = word ^ (ONES * 0x7F);
        let below_space = word.wrapping_sub(ONES * 0x20) & !word;
        let is_delete = delete.wrapping_sub(ONES) & !delete;
        (below_space | is_delete) & HIGH_BITS != 0
    };
    words.iter().any(|word| is_suspect(word) && word.iter().any(is_control)) || rest.iter().any(is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_found_at_every_position() {
        for byte in 0..=u8::MAX {
            for length in 1..20 {
                for at in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let expected = byte != b'\t' && (byte < 0x20 || byte == 0x7F);
                    assert_eq!(has_control(&bytes), expected, "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn the_uri_parser_accepts_every_valid_target() {
        for byte in 0..=u8::MAX {
            for prefix in ["/a", "/a?b"] {
                let target = [prefix.as_bytes(), &[byte], b"c"].concat();
                let parsed = http::Uri::try_from(target.as_slice());
                let is_valid = parsed.is_ok() && byte.is_ascii() && byte != b'#';
                assert_eq!(is_path_and_query(&target), is_valid, "{}", target.escape_ascii());
            }
        }
    }
}
