//! What is asked of connections, which can be changed while there are some.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::client_address::Trusted;
use super::connection_limits::Places;
use super::tls::{self, TlsError};
use crate::config;
use crate::support::hot_swap::Current;

/// What is asked of connections, for those to come.
#[derive(Clone)]
pub struct Connections(pub(super) Current<ConnectionLimits>);

/// What will be asked of connections.
pub struct Prepared(ConnectionLimits);

/// What is asked of one connection.
pub(super) struct ConnectionLimits {
    /// One permit a connection.
    pub(super) connections: Arc<Semaphore>,
    pub(super) places: Arc<Places>,
    /// Zero is no limit.
    pub(super) per_client: usize,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) drain_timeout: Duration,
    pub(super) header_bytes_max: usize,
    /// Zero is no limit.
    pub(super) requests_max: usize,
    pub(super) trusted: Trusted,
    pub(super) tls: Option<TlsAcceptor>,
}

/// The least that hyper takes for a header buffer.
const HEADER_BYTES_MIN: usize = 8192;

impl ConnectionLimits {
    /// `connections` and `places` are what those that are open already have.
    pub(super) fn new(
        config: &config::Server,
        connections: Arc<Semaphore>,
        places: Arc<Places>,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            connections,
            places,
            per_client: config.connections_per_client,
            idle_timeout: config.idle_timeout,
            write_timeout: config.write_timeout,
            drain_timeout: config.drain_timeout,
            header_bytes_max: usize::try_from(config.header_bytes.as_u64()).unwrap_or(usize::MAX).max(HEADER_BYTES_MIN),
            requests_max: config.requests_per_connection,
            trusted: Trusted::new(&config.trusted_proxies, config.proxy_protocol),
            tls: if config.tls.is_on() { Some(tls::acceptor(&config.tls)?) } else { None },
        })
    }
}

impl Connections {
    /// What `config` asks of connections, and certificates as they are in their files now. How many there may be, and how
    /// long they may be idle, stays.
    ///
    /// # Errors
    /// TLS is configured and cannot be spoken.
    pub fn prepare(&self, config: &config::Server) -> Result<Prepared, TlsError> {
        let current = self.0.get();
        ConnectionLimits::new(config, current.connections.clone(), current.places.clone()).map(Prepared)
    }

    /// Has it asked of the connections that are accepted from now on.
    pub fn set(&self, prepared: Prepared) {
        self.0.set(prepared.0);
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}
