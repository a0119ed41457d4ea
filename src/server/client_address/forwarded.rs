//! Parses the `Forwarded` header (RFC 7239 section 4).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::support::field_value::{is_token, split_unquoted};

/// Returns the address in the `for` parameter of each element, from left to right. `None` stands for an element without
/// a valid address, such as `for=unknown` or `for=_hidden`.
pub(super) fn nodes(line: &str) -> Vec<Option<IpAddr>> {
    let mut nodes = Vec::new();
    let mut rest = line;
    loop {
        let (element, after) = split_unquoted(rest, b',');
        nodes.push(node(element));
        match after {
            Some(after) => rest = after,
            None => return nodes,
        }
    }
}

/// Returns the address in the only `for` parameter of an element.
fn node(element: &str) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = Some(element);
    while let Some(text) = rest {
        let (pair, after) = split_unquoted(text, b';');
        rest = after;
        let (name, value) = pair.trim().split_once('=')?;
        if name.eq_ignore_ascii_case("for") && found.replace(value).is_some() {
            return None;
        }
    }
    address(&unquoted(found?)?)
}

/// Returns the value of a token or quoted string (RFC 9110 section 5.6).
fn unquoted(value: &str) -> Option<String> {
    let Some(quoted) = value.strip_prefix('"') else {
        // Brackets and colons need quotes.
        return is_token(value).then(|| value.to_owned());
    };
    let mut text = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return characters.next().is_none().then_some(text),
            '\\' => text.push(characters.next()?),
            character => text.push(character),
        }
    }
}

/// Parses a node (RFC 7239 section 6) with an address: `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]` or
/// `[2001:db8::1]:_port`.
fn address(node: &str) -> Option<IpAddr> {
    let (name, port) = match node.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (IpAddr::V6(name.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (name, port) = node.split_at(node.find(':').unwrap_or(node.len()));
            (IpAddr::V4(name.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    let is_port = |port: &str| match port.strip_prefix('_') {
        Some(hidden) => {
            let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !hidden.is_empty() && hidden.bytes().all(is_valid)
        }
        None => port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok(),
    };
    let is_valid = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_valid.then(|| name.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_an_address_or_hidden() {
        let table = [
            ("for=192.0.2.60", "192.0.2.60"),
            ("FOR=192.0.2.60;proto=http", "192.0.2.60"),
            ("proto=http ; for=192.0.2.60", "192.0.2.60"),
            (r#"for="192.0.2.60:4711""#, "192.0.2.60"),
            (r#"for="192.0.2.60:_port""#, "192.0.2.60"),
            (r#"for="[2001:dead::17]:4711""#, "2001:dead::17"),
            (r#"for="[2001:dead::17]""#, "2001:dead::17"),
            (r#"for="192.0\.2.60""#, "192.0.2.60"),
            (r#"for="[::ffff:192.0.2.60]""#, "192.0.2.60"),
            // Separators in quoted strings separate nothing.
            (r#"by="a,for=1.1.1.1;b";for=192.0.2.60"#, "192.0.2.60"),
            (r#"by="\",for=1.1.1.1";for=192.0.2.60"#, "192.0.2.60"),
            ("for=unknown", "-"),
            ("for=_hidden", "-"),
            ("proto=http", "-"),
            ("192.0.2.60", "-"),
            ("", "-"),
            ("for=", "-"),
            ("for=192.0.2.60;for=192.0.2.61", "-"),
            ("for=192.0.2.60:4711", "-"),
            ("for=[2001:dead::17]", "-"),
            (r#"for="2001:dead::17""#, "-"),
            (r#"for="[2001:dead::17""#, "-"),
            (r#"for="[192.0.2.60]""#, "-"),
            (r#"for="192.0.2.60:99999""#, "-"),
            (r#"for="192.0.2.60:""#, "-"),
            (r#"for="192.0.2.60"#, "-"),
            (r#"for="192.0.2.60"x"#, "-"),
            ("for = 192.0.2.60", "-"),
            (r#"for=192.0.2.60, for="[2001:dead::17]",for=_a"#, "192.0.2.60 2001:dead::17 -"),
            ("for=192.0.2.60,", "192.0.2.60 -"),
            (r#"for=192.0.2.60, for="1.1.1.1, for=1.1.1.2"#, "192.0.2.60 -"),
        ];
        for (line, expected) in table {
            let shown = nodes(line).into_iter().map(|node| node.map_or("-".to_owned(), |address| address.to_string()));
            assert_eq!(shown.collect::<Vec<_>>().join(" "), expected, "{line}");
        }
    }
}
