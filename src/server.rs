//! Sockets: listeners, serving threads, connections and graceful shutdown.
//!
//! Each serving thread has a single-threaded runtime and a listener (`SO_REUSEPORT`), so a connection never moves between
//! threads and the kernel distributes the load. Slow work runs elsewhere, see [`crate::support::tasks`]. This module implements
//! the framing of HTTP and passes requests to the proxy.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Tuning};
use crate::observability::access_log::{AccessLog, AccessLogBuffer};
use crate::proxy::Proxy;
use crate::support::hot_swap::HotSwap;
use crate::support::listener;
use crate::support::priority::BLOCKING_THREADS_MAX;
use crate::support::threads::count_or_cores;

mod client_address;
mod proxy_protocol;
mod connection;
mod connection_config;
mod connection_limits;
mod idle_timeout;
mod inherited;
mod smuggling_guard;
mod tls;
mod write_coalescer;

use connection::Connection;
pub use connection_config::ConnectionConfig;
use idle_timeout::{Activity, IdleReaper};
pub use inherited::inherited_listeners;
pub use tls::TlsError;

/// Bound listeners that are ready to serve.
pub struct Server {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    config: HotSwap<ConnectionConfig>,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 4096;

/// Time between `Connection: close` on every response and closing idle connections. A client that sends a request just as its
/// idle connection is closed would get no response.
const DRAIN_NOTICE: Duration = Duration::from_millis(250);

/// Pause after a failed accept. The usual cause is a lack of file descriptors, so an immediate retry would only use CPU.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

impl Server {
    /// Binds one listener per serving thread. Port 0 selects a free port, see [`Server::address`].
    ///
    /// # Errors
    /// The address is in use or not local, or the TLS configuration is invalid.
    pub fn bind(config: &config::Server, tuning: &Tuning) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen { address: config.listen, source };
        let first = listener::bind(config.listen, BACKLOG).map_err(failed)?;
        let address = first.local_addr().map_err(failed)?;
        let others = (1..count_or_cores(config.threads)).map(|_| listener::bind(address, BACKLOG));
        let listeners = std::iter::once(Ok(first)).chain(others).collect::<io::Result<_>>().map_err(failed)?;
        Ok(Self { listeners, address, config: HotSwap::new(ConnectionConfig::new(config, tuning)?) })
    }

    /// Serves on `inherited` listeners, of which there must be at least one, instead of binding `server.listen`. The serving
    /// threads share them.
    ///
    /// # Errors
    /// The listeners cannot be used, or the TLS configuration is invalid.
    pub fn from_listeners(
        inherited: &[TcpListener],
        config: &config::Server,
        tuning: &Tuning,
    ) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen { address: config.listen, source };
        let Some(first) = inherited.first() else { return Err(failed(io::ErrorKind::NotFound.into())) };
        let address = first.local_addr().map_err(failed)?;
        let shared = inherited.iter().cycle().take(count_or_cores(config.threads).max(inherited.len()));
        let listeners = shared.map(TcpListener::try_clone).collect::<io::Result<_>>().map_err(failed)?;
        Ok(Self { listeners, address, config: HotSwap::new(ConnectionConfig::new(config, tuning)?) })
    }

    /// The configuration of new connections, which can be replaced while the server runs.
    #[must_use]
    pub fn connection_config(&self) -> HotSwap<ConnectionConfig> {
        self.config.clone()
    }

    /// The address of the first listener.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then finishes the open requests within `server.drain_timeout`.
    ///
    /// # Errors
    /// A serving thread cannot be started.
    pub fn run(self, proxy: &HotSwap<Proxy>, log: &AccessLog, shutdown: &CancellationToken) -> io::Result<()> {
        let threads = self.listeners.into_iter().enumerate().map(|(n, listener)| {
            let thread = ServingThread {
                config: self.config.clone(),
                proxy: proxy.clone(),
                log: log.buffer(),
                shutdown: shutdown.clone(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS_MAX)
                .build()?;
            thread::Builder::new().name(format!("serve-{n}")).spawn(move || runtime.block_on(thread.serve(listener)))
        });
        let threads: Vec<JoinHandle<io::Result<()>>> = threads.collect::<io::Result<_>>()?;
        for thread in threads {
            thread.join().map_err(|_| io::Error::other("a serving thread panicked"))??;
        }
        Ok(())
    }
}

/// The state that one serving thread passes to its connections.
struct ServingThread {
    config: HotSwap<ConnectionConfig>,
    proxy: HotSwap<Proxy>,
    log: AccessLogBuffer,
    shutdown: CancellationToken,
}

impl ServingThread {
    /// Accepts connections until shutdown, then waits for the open ones.
    async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let graceful = GracefulShutdown::new();
        let draining = Arc::<AtomicBool>::default();
        // A reload does not change the connection limit, the idle timeout or the drain timeout.
        let fixed = self.config.get();
        let mut reaper = IdleReaper::new();
        let mut sweeps = tokio::time::interval(IdleReaper::sweep_period(fixed.idle_timeout));
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (permit, stream, peer) = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => break,
                _ = sweeps.tick() => {
                    reaper.sweep();
                    continue;
                }
                accepted = accept(&listener, &fixed) => accepted,
            };
            let activity = Arc::<Activity>::default();
            let watcher = graceful.watcher();
            let connection = Connection {
                config: self.config.get(),
                proxy: self.proxy.clone(),
                log: self.log.clone(),
                activity: activity.clone(),
                draining: draining.clone(),
            };
            let task = tokio::spawn(async move {
                connection.run(stream, peer, watcher).await;
                drop(permit);
            });
            reaper.watch(activity, task.abort_handle());
        }
        drop(listener);
        draining.store(true, Relaxed);
        let start = Instant::now();
        while graceful.count() > 0 && start.elapsed() < DRAIN_NOTICE {
            tokio::time::sleep(DRAIN_NOTICE / 25).await;
        }
        if timeout(fixed.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections still open after server.drain_timeout");
        }
        Ok(())
    }
}

/// Accepts the next connection. While `server.connections` are open, new ones wait in the kernel's backlog.
async fn accept(
    listener: &tokio::net::TcpListener,
    config: &ConnectionConfig,
) -> (impl Drop + use<>, TcpStream, SocketAddr) {
    loop {
        let Ok(permit) = config.permits.clone().acquire_owned().await else {
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (permit, stream, peer),
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}
