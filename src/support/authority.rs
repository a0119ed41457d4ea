//! The syntax of a host with an optional port, in `Host` and `:authority` (RFC 3986 section 3.2).

use std::net::Ipv6Addr;

use super::characters::{HOST, leading};

/// True for `host` or `host:port`. User information is not allowed (RFC 9110 section 4.2.4).
#[must_use]
pub fn is_valid(authority: &[u8]) -> bool {
    if let Some(rest) = authority.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let address = str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        return address.is_some() && is_port(&rest[end + 1..]);
    }
    let host_bytes = name_bytes(authority);
    host_bytes > 0 && is_port(&authority[host_bytes..])
}

/// The number of bytes of a registered name that `text` begins with. Each percent sign begins an escape.
fn name_bytes(text: &[u8]) -> usize {
    let mut bytes = 0;
    loop {
        bytes += leading(&text[bytes..], HOST);
        match text[bytes..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => bytes += 3,
            _ => return bytes,
        }
    }
}

/// True for an absent port, an empty one, and a number.
fn is_port(text: &[u8]) -> bool {
    let Some((colon, digits)) = text.split_first() else { return true };
    let is_in_range = digits.len() < 5 || digits.len() == 5 && digits <= b"65535".as_slice();
    *colon == b':' && is_in_range && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_with_an_optional_port_are_valid() {
        for valid in
            ["x", "a.example:80", "a.example:", "192.0.2.1:8080", "[::1]", "[2001:db8::1]:443", "a_b", "%C3%A9.example"]
        {
            assert!(is_valid(valid.as_bytes()), "{valid}");
        }
        for invalid in [
            "",
            ":80",
            "a b",
            "a.example:x",
            "a.example:65536",
            "a.example:000080",
            "a.example:+80",
            "a:1:2",
            "u@a.example",
            "a/b",
            "a?b",
            "a#b",
            "[::1",
            "::1",
            "[]",
            "[x]",
            "[::1]x",
            "[::1]:x",
            "a\\b",
            "a\"b",
            "<a>",
            "%",
            "%4",
            "%zz",
            "caf\u{e9}",
            "a\tb",
        ] {
            assert!(!is_valid(invalid.as_bytes()), "{invalid}");
        }
    }
}
