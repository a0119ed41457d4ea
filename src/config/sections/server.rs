//! Listeners and logs: `[server]`, `[log]` and `[admin]`.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::config::auto::Auto;
use crate::config::secret::Secret;
use crate::config::serde_with::{header_name, optional};

/// The listener for clients and its connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    pub listen: SocketAddr,
    /// Serving threads, each with a separate listener; 0 means one per CPU core.
    pub threads: usize,
    /// Maximum number of open connections; computed from `memory` by default.
    pub connections: Auto<NonZeroUsize>,
    /// Maximum number of open connections of one client; 0 means no limit.
    pub connections_per_client: usize,
    /// Maximum time for a connection to send the complete header of its next request.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// Maximum time without progress while a client reads a response.
    #[serde(with = "humantime_serde")]
    pub write_timeout: Duration,
    /// Maximum time for requests, flights and write-backs to finish after SIGTERM.
    #[serde(with = "humantime_serde")]
    pub drain_timeout: Duration,
    /// The URL under which clients reach this server. Redirects into it are refused. Empty if unknown.
    pub public_url: String,
    /// Networks whose `client_header` and PROXY protocol headers are trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which trusted proxies name the client. `Forwarded` is parsed as in RFC 7239; any other header is a
    /// list of addresses.
    #[serde(with = "header_name")]
    pub client_header: HeaderName,
    /// Requires a PROXY protocol header, version 1 or 2, at the start of connections from `trusted_proxies`.
    pub proxy_protocol: bool,
    pub tls: Tls,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            threads: 0,
            connections: Auto::Computed,
            connections_per_client: 256,
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            client_header: HeaderName::from_static("x-forwarded-for"),
            proxy_protocol: false,
            tls: Tls::default(),
        }
    }
}

/// HTTPS, which is enabled if certificate and key are set. All files are PEM.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The certificate, followed by its intermediate certificates.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Certificates of the authorities that issue client certificates. If empty, clients need no certificate.
    pub client_authorities: PathBuf,
}

impl Tls {
    /// True if HTTPS is served instead of HTTP.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

/// Format of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// The format of events, `log.format`.
    #[serde(rename = "")]
    AsEvents,
    Text,
    Json,
    /// The Combined Log Format of Apache and nginx.
    Combined,
}

/// Logs: requests on standard output, events on standard error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `resized=debug,hyper=warn`.
    pub level: String,
    /// Logs one line per request.
    pub access: bool,
    pub access_format: AccessFormat,
    /// Also logs requests answered from the cache.
    pub access_hits: bool,
    /// Logs every n-th response with a status below 400.
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

/// The listener for operators: health, metrics and administration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// `None`, written `""`, disables the listener.
    #[serde(with = "optional")]
    pub listen: Option<SocketAddr>,
    /// Required if `listen` is not a loopback address.
    pub token: Secret,
}

impl Default for Admin {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 8081))), token: Secret::default() }
    }
}
