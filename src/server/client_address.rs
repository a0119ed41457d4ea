//! Determines the client's address: the peer of the connection, or the address that a trusted proxy reports.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::proxy_protocol::{HEADER_BYTES_MAX, Parsed, parse};
use crate::config;

mod forwarded;

/// Networks of proxies whose PROXY protocol headers and forwarding headers are trusted.
#[derive(Debug)]
pub(super) struct TrustedProxies {
    networks: Vec<IpNet>,
    /// The only header that names the client. A proxy sets or extends one header, and passes the others on as the client
    /// sent them.
    client_header: HeaderName,
    expects_proxy_protocol: bool,
}

impl TrustedProxies {
    pub(super) fn new(config: &config::Server) -> Self {
        Self {
            networks: config.trusted_proxies.clone(),
            client_header: config.client_header.clone(),
            expects_proxy_protocol: config.proxy_protocol,
        }
    }

    /// Returns true if `address` is that of a trusted proxy.
    pub(super) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Returns the client of a new connection. Reads and removes the PROXY protocol header if `peer` has to send one. The
    /// header may arrive in several segments, so the caller sets a deadline.
    ///
    /// # Errors
    /// A trusted proxy did not send a valid header.
    pub(super) async fn connection_client(&self, stream: &mut TcpStream, peer: SocketAddr) -> io::Result<IpAddr> {
        if !self.expects_proxy_protocol || !self.contains(peer.ip()) {
            return Ok(peer.ip().to_canonical());
        }
        let mut buffer = [0; HEADER_BYTES_MAX];
        let mut read = 0;
        loop {
            let peeked = stream.peek(&mut buffer[read..]).await?;
            if peeked == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = read + peeked;
            let (header_end, client) = match parse(&buffer[..end]) {
                Parsed::Complete(header) => (header.bytes, Some(header.client)),
                // All bytes so far belong to the header.
                Parsed::Incomplete if end < HEADER_BYTES_MAX => (end, None),
                Parsed::Incomplete | Parsed::Invalid => return Err(io::ErrorKind::InvalidData.into()),
            };
            stream.read_exact(&mut buffer[read..header_end]).await?;
            read = header_end;
            if let Some(client) = client {
                return Ok(client.unwrap_or(peer.ip()).to_canonical());
            }
        }
    }

    /// Returns the client of one request. If `peer` is a trusted proxy, this is the last address in
    /// `server.client_header` that is not a trusted proxy.
    pub(super) fn request_client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.networks.is_empty() || !self.contains(peer) {
            return peer;
        }
        let mut client = peer;
        // Several header lines are one list.
        for line in headers.get_all(&self.client_header).iter().rev() {
            let Ok(line) = line.to_str() else { return client };
            let hops = if self.client_header == FORWARDED {
                forwarded::nodes(line)
            } else {
                line.split(',').map(address).collect()
            };
            for hop in hops.into_iter().rev() {
                // A hop that is hidden or invalid hides the hops before it.
                let Some(address) = hop else { return client };
                client = address;
                if !self.contains(address) {
                    return client;
                }
            }
        }
        client
    }
}

/// Parses an address as proxies write it into `X-Forwarded-For`: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`,
/// `[2001:db8::1]` or `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    let ip = text.parse().ok().or_else(with_port).or_else(bracketed)?;
    Some(ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client_by(header: &'static str, peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let config = config::Server {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            client_header: HeaderName::from_static(header),
            ..config::Server::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        TrustedProxies::new(&config).request_client(peer.parse().unwrap(), &map).to_string()
    }

    fn client(peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        client_by("x-forwarded-for", peer, headers)
    }

    #[test]
    fn forwarding_headers_are_used_only_from_trusted_proxies() {
        assert_eq!(client("192.0.2.9", &[("x-forwarded-for", "192.0.2.1")]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "192.0.2.1")]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn only_the_configured_header_names_the_client() {
        let both = [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.2")];
        assert_eq!(client("10.0.0.1", &both), "192.0.2.1");
        assert_eq!(client_by("forwarded", "10.0.0.1", &both), "192.0.2.2");
        assert_eq!(client("10.0.0.1", &both[1..]), "10.0.0.1", "a client sends Forwarded through the proxy");
        assert_eq!(client_by("forwarded", "10.0.0.1", &both[..1]), "10.0.0.1");
        assert_eq!(client_by("cf-connecting-ip", "10.0.0.1", &[("cf-connecting-ip", "192.0.2.3")]), "192.0.2.3");
    }

    #[test]
    fn addresses_that_the_client_itself_sent_are_ignored() {
        let table = [
            ("1.1.1.1, 192.0.2.1", "192.0.2.1"),
            ("1.1.1.1, 192.0.2.1:4711, 10.2.3.4", "192.0.2.1"),
            ("10.7.7.7, 10.2.3.4", "10.7.7.7"),
            ("1.1.1.1,2001:dead::17,10.2.3.4", "2001:dead::17"),
            ("1.1.1.1,\t[2001:dead::17]", "2001:dead::17"),
            ("1.1.1.1, [2001:dead::17]:4711", "2001:dead::17"),
            ("::ffff:192.0.2.1, ::ffff:10.2.3.4", "192.0.2.1"),
            // An invalid hop hides those before it.
            ("192.0.2.1, nonsense", "10.0.0.1"),
            ("192.0.2.1, nonsense, 10.2.3.4", "10.2.3.4"),
            ("192.0.2.1, unknown", "10.0.0.1"),
            ("192.0.2.1,", "10.0.0.1"),
            ("192.0.2.1, 1.1.1.1:99999", "10.0.0.1"),
            ("192.0.2.1, 1.1.1.1:", "10.0.0.1"),
            ("192.0.2.1, [1.1.1.1]", "10.0.0.1"),
            ("192.0.2.1, \"1.1.1.1\"", "10.0.0.1"),
            ("192.0.2.1, for=1.1.1.1", "10.0.0.1"),
            ("192.0.2.1, 1.1.1.1 1.1.1.1", "10.0.0.1"),
            ("1.1.1.1, 192.0.2.1\u{e9}", "10.0.0.1"),
            ("", "10.0.0.1"),
        ];
        for (value, expected) in table {
            assert_eq!(client("10.0.0.1", &[("x-forwarded-for", value)]), expected, "{value}");
        }
    }

    #[test]
    fn several_header_lines_are_one_list() {
        let line = |value| ("x-forwarded-for", value);
        assert_eq!(client("10.0.0.1", &[line("192.0.2.1"), line("192.0.2.2")]), "192.0.2.2");
        assert_eq!(client("10.0.0.1", &[line("1.1.1.1, 192.0.2.1"), line("10.2.3.4, 10.2.3.5")]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &[line("192.0.2.1"), line("\u{e9}")]), "10.0.0.1");
    }

    #[test]
    fn forwarded_elements_are_read_from_the_right() {
        let table = [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", "192.0.2.60"),
            ("for=1.1.1.1, For=\"[2001:dead::17]:4711\"", "2001:dead::17"),
            ("for=192.0.2.43, for=\"[2001:db8::17]\"", "192.0.2.43"),
            ("for=192.0.2.1, for=_hidden", "10.0.0.1"),
            ("for=192.0.2.1, for=_hidden, for=10.2.3.4", "10.2.3.4"),
        ];
        for (value, expected) in table {
            assert_eq!(client_by("forwarded", "10.0.0.1", &[("forwarded", value)]), expected, "{value}");
        }
        let lines = [("forwarded", "for=192.0.2.1"), ("forwarded", "for=10.2.3.4, for=10.2.3.5")];
        assert_eq!(client_by("forwarded", "10.0.0.1", &lines), "192.0.2.1");
    }
}
