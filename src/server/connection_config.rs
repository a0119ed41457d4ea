//! The configuration of connections, which a reload can replace.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::client_address::TrustedProxies;
use super::connection_limits::PerClientLimiter;
use super::tls::{self, TlsError};
use crate::config::{self, Tuning};
use crate::support::request_filter::HEADER_BYTES_MAX;

/// The configuration of new connections. Open connections keep the configuration that they started with.
pub struct ConnectionConfig {
    /// One permit per open connection.
    pub(super) permits: Arc<Semaphore>,
    pub(super) clients: Arc<PerClientLimiter>,
    /// Maximum number of connections per client; 0 means no limit.
    pub(super) per_client_max: usize,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) header_bytes_max: usize,
    /// Maximum number of requests per HTTP/1.1 connection; 0 means no limit.
    pub(super) requests_max: usize,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) tls: Option<TlsAcceptor>,
}

impl ConnectionConfig {
    /// Applies `config` and reads the certificates. At most `connections_max` connections are open.
    ///
    /// # Errors
    /// The TLS configuration is invalid.
    pub fn new(config: &config::Server, connections_max: usize, tuning: &Tuning) -> Result<Self, TlsError> {
        let requests_max = tuning.requests_per_connection;
        Self::with_limiters(config, requests_max, Arc::new(Semaphore::new(connections_max)), Arc::default())
    }

    /// Applies `config` and reads the certificates again. Open connections still count: the connection permits and the
    /// per-client counts are shared with `self`.
    ///
    /// # Errors
    /// The TLS configuration is invalid.
    pub fn reloaded(&self, config: &config::Server) -> Result<Self, TlsError> {
        Self::with_limiters(config, self.requests_max, self.permits.clone(), self.clients.clone())
    }

    fn with_limiters(
        config: &config::Server,
        requests_max: usize,
        permits: Arc<Semaphore>,
        clients: Arc<PerClientLimiter>,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            permits,
            clients,
            per_client_max: config.connections_per_client,
            idle_timeout: config.idle_timeout,
            write_timeout: config.write_timeout,
            drain_timeout: config.drain_timeout,
            header_bytes_max: HEADER_BYTES_MAX,
            requests_max,
            trusted_proxies: TrustedProxies::new(config),
            tls: if config.tls.is_on() { Some(tls::acceptor(&config.tls)?) } else { None },
        })
    }
}

impl fmt::Debug for ConnectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionConfig").finish_non_exhaustive()
    }
}
