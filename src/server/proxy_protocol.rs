//! Headers of the PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt, sections 2.1 and 2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The header at the start of a proxied connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProxyHeader {
    /// Length of the header.
    pub(super) bytes: usize,
    /// `None` if the proxy opened the connection itself, or the address family is neither IPv4 nor IPv6.
    pub(super) client: Option<IpAddr>,
}

/// The result of parsing the first bytes of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Complete(ProxyHeader),
    /// All bytes belong to a header whose end is missing.
    Incomplete,
    Invalid,
}

const SIGNATURE_V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Start of a version 1 header.
const SIGNATURE_V1: &[u8; 6] = b"PROXY ";

/// Maximum length of a header: longer than any version 1 header, and than a version 2 header with a reasonable number of
/// extensions.
pub(super) const HEADER_BYTES_MAX: usize = 1024;

/// Maximum length of a version 1 header, including the line end.
const BYTES_MAX_V1: usize = 107;

/// Parses the header that `bytes` starts with.
pub(super) fn parse(bytes: &[u8]) -> Parsed {
    let is_prefix = |signature: &[u8]| bytes.len() < signature.len() && signature.starts_with(bytes);
    if is_prefix(SIGNATURE_V2) || is_prefix(SIGNATURE_V1) {
        return Parsed::Incomplete;
    }
    match bytes.strip_prefix(SIGNATURE_V2) {
        Some(rest) => match rest.first_chunk::<4>() {
            None => Parsed::Incomplete,
            Some([.., high, low]) => {
                let total = SIGNATURE_V2.len() + 4 + usize::from(u16::from_be_bytes([*high, *low]));
                if total > HEADER_BYTES_MAX {
                    Parsed::Invalid
                } else if bytes.len() < total {
                    Parsed::Incomplete
                } else {
                    ProxyHeader::parse_v2(rest).map_or(Parsed::Invalid, Parsed::Complete)
                }
            }
        },
        None if bytes.starts_with(SIGNATURE_V1) => {
            let has_end = bytes.windows(2).take(BYTES_MAX_V1 - 1).any(|end| end == b"\r\n");
            if !has_end && bytes.len() < BYTES_MAX_V1 {
                Parsed::Incomplete
            } else {
                ProxyHeader::parse_v1(bytes).map_or(Parsed::Invalid, Parsed::Complete)
            }
        }
        None => Parsed::Invalid,
    }
}

impl ProxyHeader {
    /// Parses version 1, one line of text: `PROXY TCP4 192.0.2.1 192.0.2.2 4711 443`.
    fn parse_v1(bytes: &[u8]) -> Option<Self> {
        let line_bytes = bytes.windows(2).take(BYTES_MAX_V1 - 1).position(|end| end == b"\r\n")?;
        let line = str::from_utf8(&bytes[..line_bytes]).ok()?;
        let fields: Vec<_> = line.split(' ').collect();
        let client = match fields.as_slice() {
            ["PROXY", "TCP4", source, destination, ports @ ..] if are_ports(ports) => {
                destination.parse::<Ipv4Addr>().ok()?;
                Some(source.parse::<Ipv4Addr>().ok()?.into())
            }
            ["PROXY", "TCP6", source, destination, ports @ ..] if are_ports(ports) => {
                destination.parse::<Ipv6Addr>().ok()?;
                Some(source.parse::<Ipv6Addr>().ok()?.into())
            }
            ["PROXY", "UNKNOWN", ..] => None,
            _ => return None,
        };
        Some(Self { bytes: line_bytes + 2, client })
    }

    /// Parses version 2 after the signature: version and command, address family and protocol, length of the rest,
    /// addresses, extensions.
    fn parse_v2(rest: &[u8]) -> Option<Self> {
        let (head, rest) = rest.split_first_chunk::<4>()?;
        let [command, family, length @ ..] = *head;
        let length = usize::from(u16::from_be_bytes(length));
        let addresses = rest.get(..length)?;
        let client = match (command, family >> 4) {
            // LOCAL: the proxy's own connection.
            (0x20, _) => None,
            (0x21, 1) => Some(IpAddr::from(*addresses.get(..12)?.first_chunk::<4>()?)),
            (0x21, 2) => Some(IpAddr::from(*addresses.get(..36)?.first_chunk::<16>()?)),
            // Unspecified and Unix addresses.
            (0x21, 0 | 3) => None,
            _ => return None,
        };
        Some(Self { bytes: SIGNATURE_V2.len() + 4 + length, client })
    }
}

fn are_ports(fields: &[&str]) -> bool {
    let is_port = |field: &&str| field.bytes().all(|byte| byte.is_ascii_digit()) && field.parse::<u16>().is_ok();
    fields.len() == 2 && fields.iter().all(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT_V4: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

    fn header(bytes: usize, client: Option<IpAddr>) -> Parsed {
        Parsed::Complete(ProxyHeader { bytes, client })
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [&SIGNATURE_V2[..], &[command, family], &length, addresses].concat()
    }

    #[test]
    fn version_1_is_one_line_of_text() {
        let table = [
            (&b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\nGET / HTTP/1.1\r\n"[..], header(39, CLIENT_V4)),
            (b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n", header(36, Some("2001:db8::1".parse().unwrap()))),
            (b"PROXY UNKNOWN\r\nGET", header(15, None)),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", header(35, None)),
            (b"PROXY TCP4 192.0.2.1", Parsed::Incomplete),
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r", Parsed::Incomplete),
            (b"PRO", Parsed::Incomplete),
            (b"PROX\r", Parsed::Invalid),
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n", Parsed::Invalid),
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 65536\r\n", Parsed::Invalid),
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 +4711 80\r\n", Parsed::Invalid),
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 1\r\n", Parsed::Invalid),
            (b"PROXY TCP4 2001:db8::1 ::1 4711 80\r\n", Parsed::Invalid),
            (b"PROXY  TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", Parsed::Invalid),
            (b"proxy TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", Parsed::Invalid),
            (b"GET / HTTP/1.1\r\n\r\n", Parsed::Invalid),
            (b"", Parsed::Incomplete),
        ];
        for (bytes, expected) in table {
            assert_eq!(parse(bytes), expected, "{}", bytes.escape_ascii());
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(BYTES_MAX_V1));
        assert_eq!(parse(long.as_bytes()), Parsed::Invalid, "longer than a header can be");
    }

    #[test]
    fn version_2_is_binary_with_addresses_and_extensions() {
        let ipv4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        let mut ipv6 = [0; 36];
        ipv6[15] = 1;
        let client_v6 = Some(IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(parse(&version_2(0x21, 0x11, &ipv4)), header(28, CLIENT_V4));
        assert_eq!(parse(&version_2(0x21, 0x21, &ipv6)), header(52, client_v6));
        let extended = [&ipv4[..], b"\x04\0\x01x"].concat();
        assert_eq!(parse(&version_2(0x21, 0x11, &extended)), header(32, CLIENT_V4));
        assert_eq!(parse(&version_2(0x20, 0x00, &[])), header(16, None), "LOCAL");
        assert_eq!(parse(&version_2(0x21, 0x31, &[0; 216])), header(232, None), "Unix");
        assert_eq!(parse(&version_2(0x21, 0x11, &ipv4[..11])), Parsed::Invalid, "too short for its family");
        assert_eq!(parse(&version_2(0x11, 0x11, &ipv4)), Parsed::Invalid, "version 1 in binary");
        assert_eq!(parse(&version_2(0x22, 0x11, &ipv4)), Parsed::Invalid, "unknown command");
        let whole = version_2(0x21, 0x11, &ipv4);
        for bytes in 0..whole.len() {
            assert_eq!(parse(&whole[..bytes]), Parsed::Incomplete, "{bytes}");
        }
        assert_eq!(parse(&version_2(0x21, 0x11, &[0; HEADER_BYTES_MAX])), Parsed::Invalid, "too long");
    }
}
