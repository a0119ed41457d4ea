//! Who the client is: the other end of the connection, or whom a trusted proxy names.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Networks whose word is taken.
#[derive(Debug)]
pub(super) struct Trusted {
    networks: Vec<IpNet>,
    proxy_protocol: bool,
}

/// More than the longest header of version 1, and version 2 with some room for what may follow its addresses. It comes in
/// one segment (PROXY protocol specification, section 2).
const PROXY_HEADER_BYTES: usize = 1024;

impl Trusted {
    pub(super) fn new(networks: &[IpNet], proxy_protocol: bool) -> Self {
        Self { networks: networks.to_vec(), proxy_protocol }
    }

    /// Whether others may be behind this address.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client of a new connection: its other end, or as the PROXY protocol's header says, which is taken off.
    ///
    /// # Errors
    /// A trusted proxy that should have sent that header and has not.
    pub(super) async fn client(&self, stream: &mut TcpStream, peer: SocketAddr) -> io::Result<IpAddr> {
        if !self.proxy_protocol || !self.trusts(peer.ip()) {
            return Ok(peer.ip().to_canonical());
        }
        let mut header = [0; PROXY_HEADER_BYTES];
        let seen = stream.peek(&mut header).await?;
        let (bytes, client) = proxy_header(&header[..seen]).ok_or(io::ErrorKind::InvalidData)?;
        stream.read_exact(&mut header[..bytes]).await?;
        Ok(client.unwrap_or(peer.ip()).to_canonical())
    }

    /// The client of one request: with a trusted proxy for `peer`, the last that the proxies' headers name and that is not
    /// a trusted proxy itself. `Forwarded` (RFC 7239) goes before `X-Forwarded-For`.
    pub(super) fn forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.networks.is_empty() || !self.trusts(peer) {
            return peer;
        }
        let name = if headers.contains_key(FORWARDED) { FORWARDED.as_str() } else { "x-forwarded-for" };
        let mut client = peer;
        let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            // What names no address, such as an obfuscated one, ends what is known.
            let Some(address) = address(hop) else { break };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// How long a PROXY header is and whom it names; `None` in the second place is "no one" (`LOCAL`, `UNKNOWN`).
fn proxy_header(bytes: &[u8]) -> Option<(usize, Option<IpAddr>)> {
    match HeaderResult::parse(bytes) {
        HeaderResult::V1(Ok(header)) => {
            let client = match header.addresses {
                v1::Addresses::Tcp4(tcp) => Some(tcp.source_address.into()),
                v1::Addresses::Tcp6(tcp) => Some(tcp.source_address.into()),
                v1::Addresses::Unknown => None,
            };
            Some((header.header.len(), client))
        }
        HeaderResult::V2(Ok(header)) => {
            let client = match header.addresses {
                v2::Addresses::IPv4(ip) if header.command == v2::Command::Proxy => Some(ip.source_address.into()),
                v2::Addresses::IPv6(ip) if header.command == v2::Command::Proxy => Some(ip.source_address.into()),
                _ => None,
            };
            Some((header.len(), client))
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => None,
    }
}

/// The address in one hop: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`, or any of these as
/// `for="..."` among the parameters of `Forwarded`.
fn address(hop: &str) -> Option<IpAddr> {
    let parameters = || hop.split(';').map(str::trim);
    let named = parameters().find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let text = named.unwrap_or(hop).trim().trim_matches('"');
    let ip = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    ip.or_else(bracketed).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let trusted = Trusted::new(&["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()], false);
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        trusted.forwarded(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        assert_eq!(client("192.0.2.9", &[("x-forwarded-for", "192.0.2.1")]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "192.0.2.1")]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_itself_wrote_before_the_proxies_is_not_believed() {
        let table = [
            ("x-forwarded-for", "1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("x-forwarded-for", "1.1.1.1, 192.0.2.1:4711, 10.2.3.4", "192.0.2.1"),
            ("x-forwarded-for", "10.7.7.7, 10.2.3.4", "10.7.7.7"),
            ("x-forwarded-for", "192.0.2.1, nonsense", "10.0.0.1"),
            ("forwarded", "for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("forwarded", "for=1.1.1.1, For=\"[2001:dead::17]:4711\"", "2001:dead::17"),
            ("forwarded", "for=192.0.2.43, for=\"[2001:db8::17]\"", "192.0.2.43"),
            ("forwarded", "for=_hidden", "10.0.0.1"),
        ];
        for (name, value, expected) in table {
            assert_eq!(client("10.0.0.1", &[(name, value)]), expected, "{name}: {value}");
        }
        let both = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        assert_eq!(client("10.0.0.1", &both), "192.0.2.2");
    }

    #[test]
    fn both_versions_of_the_proxy_protocol_are_read_to_their_end() {
        let first = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\nGET / HTTP/1.1\r\n";
        assert_eq!(proxy_header(first), Some((39, Some(IpAddr::from([192, 0, 2, 1])))));
        assert_eq!(proxy_header(b"PROXY UNKNOWN\r\nGET"), Some((15, None)));
        let mut second = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
        second.extend([192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80]);
        second.extend(b"GET / HTTP/1.1\r\n");
        assert_eq!(proxy_header(&second), Some((28, Some(IpAddr::from([192, 0, 2, 1])))));
        for bad in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"PROXY TCP4 192.0.2.1", b"", &second[..20]] {
            assert_eq!(proxy_header(bad), None);
        }
    }
}
