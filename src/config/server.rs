//! The listening socket, TLS, and what the operator sees.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{Secret, nonzero, optional};

/// The listening socket and its connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    /// Serving threads, each with its own listener; 0 is one a core.
    pub threads: usize,
    pub connections: NonZeroUsize,
    /// Of one client at once; 0 is no limit.
    pub connections_per_client: usize,
    /// Requests that an HTTP/1.1 connection is kept for; 0 is no limit.
    pub requests_per_connection: usize,
    /// How long a connection may take until its next request's header is there whole.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// How long a client may take no byte of its answer.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// How long requests, flights and write-backs may take to end after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// A request's line and header together; more is 431.
    pub header_bytes: ByteSize,
    /// The URL under which clients reach this server, if redirects must be kept from it; empty is unknown.
    pub public_url: String,
    /// Networks whose `Forwarded`, `X-Forwarded-For` and PROXY protocol headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether connections from trusted networks begin with a PROXY protocol header, version 1 or 2.
    pub proxy_protocol: bool,
    pub tls: Tls,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            threads: 0,
            connections: nonzero(10_000),
            connections_per_client: 0,
            requests_per_connection: 100_000,
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            header_bytes: ByteSize::kib(16),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            tls: Tls::default(),
        }
    }
}

/// HTTPS, when both files are named.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate and those that it was signed by, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// Authorities, in PEM, of which every client has to show a certificate; empty asks for none.
    pub client_authorities: PathBuf,
}

impl Tls {
    /// Whether HTTPS is spoken, in place of HTTP.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// How a request's line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// As events are: `format`.
    #[serde(rename = "")]
    AsEvents,
    Text,
    Json,
    /// The Common Log Format of the NCSA.
    Common,
    /// The same with the request's `Referer` and `User-Agent`.
    Combined,
}

/// What is written to standard output (requests) and standard error (everything else).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `resized=debug,hyper=warn`.
    pub level: String,
    /// One line a request.
    pub access: bool,
    pub access_format: AccessFormat,
    /// Whether answers from memory have lines.
    pub access_hits: bool,
    /// Of so many answers below 400, one has a line.
    pub access_sample: NonZeroU32,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: "info".into(),
            access: true,
            access_format: AccessFormat::AsEvents,
            access_hits: true,
            access_sample: NonZeroU32::MIN,
        }
    }
}

/// The second listener: health, numbers and the operator's commands. Never for clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// `None`, written `""`, is no such listener.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// Required where `listen` is not a loopback address.
    pub token: Secret,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 8081))), token: Secret::default() }
    }
}
