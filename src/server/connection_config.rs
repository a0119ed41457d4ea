//! The configuration of connections, which a reload can replace.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::client_address::TrustedProxies;
use super::tls::{self, TlsError};
use crate::config::{self, Tuning};
use crate::support::memory::MemoryBudget;
use crate::support::per_client::PerClient;

/// The configuration of new connections. Open connections keep the configuration that they started with.
pub struct ConnectionConfig {
    /// One permit per open connection.
    pub(super) permits: Arc<Semaphore>,
    /// Open connections of each client.
    pub(super) clients: Arc<PerClient>,
    /// Maximum number of connections per client; 0 means no limit.
    pub(super) per_client_max: u64,
    /// Memory for buffers of responses.
    pub(super) buffers: Arc<MemoryBudget>,
    pub(super) idle_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) drain_timeout: Duration,
    /// Number of requests after which a connection is closed; 0 means no limit.
    pub(super) requests_max: usize,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) tls: Option<TlsAcceptor>,
}

/// The limits that a reload keeps, with their counts.
#[derive(Debug, Clone)]
struct KeptLimits {
    permits: Arc<Semaphore>,
    clients: Arc<PerClient>,
    buffers: Arc<MemoryBudget>,
}

impl ConnectionConfig {
    /// Applies `config` and reads the certificates. At most `connections_max` connections are open. Buffers of responses
    /// take memory from `buffers`.
    ///
    /// # Errors
    /// The TLS configuration is invalid.
    pub fn new(
        config: &config::Server,
        connections_max: usize,
        buffers: Arc<MemoryBudget>,
        tuning: &Tuning,
    ) -> Result<Self, TlsError> {
        let permits = Arc::new(Semaphore::new(connections_max));
        let kept = KeptLimits { permits, clients: Arc::default(), buffers };
        Self::with_limits(config, tuning.requests_per_connection, kept)
    }

    /// Applies `config` and reads the certificates again. Open connections still count: the limits are shared with `self`.
    ///
    /// # Errors
    /// The TLS configuration is invalid.
    pub fn reloaded(&self, config: &config::Server) -> Result<Self, TlsError> {
        let Self { permits, clients, buffers, requests_max, .. } = self;
        let kept = KeptLimits { permits: permits.clone(), clients: clients.clone(), buffers: buffers.clone() };
        Self::with_limits(config, *requests_max, kept)
    }

    fn with_limits(config: &config::Server, requests_max: usize, kept: KeptLimits) -> Result<Self, TlsError> {
        let KeptLimits { permits, clients, buffers } = kept;
        Ok(Self {
            permits,
            clients,
            per_client_max: config.connections_per_client as u64,
            buffers,
            idle_timeout: config.idle_timeout,
            write_timeout: config.write_timeout,
            drain_timeout: config.drain_timeout,
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
