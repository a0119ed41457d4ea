//! The syntax of a host with an optional port, in `Host` and `:authority` (RFC 3986 section 3.2).

use std::net::Ipv6Addr;

/// True for `host` or `host:port`. User information is not allowed (RFC 9110 section 4.2.4).
#[must_use]
pub fn is_valid(authority: &[u8]) -> bool {
    if let Some(rest) = authority.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', rest) else { return false };
        let address = str::from_utf8(&rest[..end]).ok().and_then(|text| text.parse::<Ipv6Addr>().ok());
        return address.is_some() && is_port(&rest[end + 1..]);
    }
    let host_bytes = memchr::memchr(b':', authority).unwrap_or(authority.len());
    let (host, port) = authority.split_at(host_bytes);
    !host.is_empty() && is_name(host) && is_port(port)
}

/// True for characters of a registered name. Each percent sign begins an escape.
fn is_name(host: &[u8]) -> bool {
    host.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => host.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte),
    })
}

/// True for an absent port, an empty one, and a number.
fn is_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((b':', digits)) => {
            let number = str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u16>().ok());
            digits.is_empty() || (digits.iter().all(u8::is_ascii_digit) && number.is_some())
        }
        Some(_) => false,
    }
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
