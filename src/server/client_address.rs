//! Determines the client's address: the peer of the connection, or the address that a trusted proxy reports.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::proxy_protocol::ProxyHeader;

/// Networks of proxies whose PROXY protocol headers and forwarding headers are trusted.
#[derive(Debug)]
pub(super) struct TrustedProxies {
    networks: Vec<IpNet>,
    expects_proxy_protocol: bool,
}

/// Size of the buffer for a PROXY protocol header: longer than any version 1 header, and than a version 2 header with a
/// reasonable number of extensions. The header arrives in a single segment (PROXY protocol specification, section 2).
const PROXY_HEADER_BYTES: usize = 1024;

impl TrustedProxies {
    pub(super) fn new(networks: &[IpNet], expects_proxy_protocol: bool) -> Self {
        Self { networks: networks.to_vec(), expects_proxy_protocol }
    }

    /// Returns true if `address` is that of a trusted proxy.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Returns the client of a new connection. Reads and removes the PROXY protocol header if `peer` has to send one.
    ///
    /// # Errors
    /// A trusted proxy did not send a valid header.
    pub(super) async fn connection_client(&self, stream: &mut TcpStream, peer: SocketAddr) -> io::Result<IpAddr> {
        if !self.expects_proxy_protocol || !self.contains(peer.ip()) {
            return Ok(peer.ip().to_canonical());
        }
        let mut buffer = [0; PROXY_HEADER_BYTES];
        let peeked = stream.peek(&mut buffer).await?;
        let header = ProxyHeader::parse(&buffer[..peeked]).ok_or(io::ErrorKind::InvalidData)?;
        stream.read_exact(&mut buffer[..header.bytes]).await?;
        Ok(header.client.unwrap_or(peer.ip()).to_canonical())
    }

    /// Returns the client of one request. If `peer` is a trusted proxy, this is the last address in the forwarding
    /// headers that is not a trusted proxy. `Forwarded` (RFC 7239) takes precedence over `X-Forwarded-For`.
    pub(super) fn request_client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.networks.is_empty() || !self.contains(peer) {
            return peer;
        }
        let name = if headers.contains_key(FORWARDED) { FORWARDED.as_str() } else { "x-forwarded-for" };
        let mut client = peer;
        let values: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            // An obfuscated or invalid hop hides the hops before it.
            let Some(address) = hop_address(hop) else { break };
            client = address;
            if !self.contains(address) {
                break;
            }
        }
        client
    }
}

/// Parses one hop: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`, or any of these as the `for="..."` parameter
/// of `Forwarded`.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let parameters = || hop.split(';').map(str::trim);
    let for_parameter = parameters().find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let text = for_parameter.unwrap_or(hop).trim().trim_matches('"');
    let ip = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    ip.or_else(bracketed).map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let networks = ["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        TrustedProxies::new(&networks, false).request_client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn forwarding_headers_are_used_only_from_trusted_proxies() {
        assert_eq!(client("192.0.2.9", &[("x-forwarded-for", "192.0.2.1")]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "192.0.2.1")]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn addresses_that_the_client_itself_sent_are_ignored() {
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
}
