//! The syntax of targets and of values.

use crate::support::characters::{PATH, QUERY, are_all};

/// True for a path with an optional query. Other characters than ASCII must be escaped, and a fragment is not part of a
/// request target.
pub(super) fn is_path_and_query(target: &[u8]) -> bool {
    let (path, query) = target.split_at(memchr::memchr(b'?', target).unwrap_or(target.len()));
    are_all(path, PATH) && are_all(query, QUERY)
}

/// The position of the first control character other than a tab.
pub(super) fn find_control(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    // Without branches, the compiler compares all bytes of a block at once.
    while let Some(block) = bytes[at..].first_chunk::<16>()
        && block.iter().fold(true, |all, byte| all & matches!(*byte, b' '..=b'~'))
    {
        at += block.len();
    }
    while let Some(word) = bytes[at..].first_chunk() {
        let controls = controls(u64::from_le_bytes(*word));
        if controls == 0 {
            at += word.len();
            continue;
        }
        at += (controls.trailing_zeros() / 8) as usize;
        if bytes[at] != b'\t' {
            return Some(at);
        }
        at += 1;
    }
    bytes[at..].iter().position(|byte| byte.is_ascii_control() && *byte != b'\t').map(|found| at + found)
}

/// Marks the control characters of a word with their highest bits. Only the first mark is exact.
const fn controls(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xFF;
    const HIGH_BITS: u64 = ONES << 7;
    let delete = word ^ (ONES * 0x7F);
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let is_delete = delete.wrapping_sub(ONES) & !delete;
    (below_space | is_delete) & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::characters::{TARGET, leading};

    #[test]
    fn control_characters_are_found_at_every_position() {
        for byte in 0..=u8::MAX {
            for length in 1..40 {
                for at in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let expected = byte != b'\t' && (byte < 0x20 || byte == 0x7F);
                    assert_eq!(find_control(&bytes), expected.then_some(at), "{byte} at {at} of {length}");
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
                // A character is valid in a target if it is valid in each part of it.
                let long = [target.as_slice(), b"c".repeat(20).as_slice()].concat();
                assert!(leading(&long, TARGET) < long.len() || is_valid, "{}", target.escape_ascii());
            }
        }
    }
}
