//! Sockets: listeners, serving threads, connections, and stopping in order.
//!
//! Each serving thread has a runtime and a listener of its own (`SO_REUSEPORT`), so a connection never changes threads
//! and the kernel spreads the load. Slow work runs elsewhere: see [`crate::support::tasks`]. This module knows HTTP's framing and
//! nothing of what is asked.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::observability::telemetry::{AccessLog, AccessPage};
use crate::proxy::Proxy;
use crate::support::hot_swap::Current;
use crate::support::priority::BLOCKING_THREADS_MAX;

mod client_address;
mod connection;
mod connection_config;
mod connection_limits;
mod idle_timeout;
mod listeners;
mod smuggling_guard;
mod tls;
mod write_coalescer;

use connection::Connection;
use connection_config::ConnectionLimits;
pub use connection_config::{Connections, Prepared};
use idle_timeout::{Patience, Signs};
pub use listeners::inherited;
pub use tls::TlsError;

/// Listeners bound to one address, ready to serve.
pub struct Server {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    connections: Connections,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How long clients are told to come back on another connection, before those are closed that asked for nothing meanwhile: who
/// asks in the moment of the closing hears nothing.
const LEAVING: Duration = Duration::from_millis(250);

impl Server {
    /// Binds one listener a serving thread. Port 0 takes a free port; see [`Server::address`].
    ///
    /// # Errors
    /// The address is in use or not ours, or TLS is configured and cannot be spoken.
    pub fn bind(config: &config::Server) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen { address: config.listen, source };
        let first = listeners::bind(config.listen).map_err(failed)?;
        let address = first.local_addr().map_err(failed)?;
        let others = (1..threads(config)).map(|_| listeners::bind(address));
        let listeners = std::iter::once(Ok(first)).chain(others).collect::<io::Result<_>>().map_err(failed)?;
        Self::new(listeners, address, config)
    }

    /// Accepts on `inherited`, at least one, in place of `server.listen`: they are shared out among the serving threads.
    ///
    /// # Errors
    /// They cannot be used, or TLS is configured and cannot be spoken.
    pub fn on(inherited: &[TcpListener], config: &config::Server) -> Result<Self, BindError> {
        let failed = |source| BindError::Listen { address: config.listen, source };
        let Some(first) = inherited.first() else { return Err(failed(io::ErrorKind::NotFound.into())) };
        let address = first.local_addr().map_err(failed)?;
        let shared = inherited.iter().cycle().take(threads(config).max(inherited.len()));
        let listeners = shared.map(TcpListener::try_clone).collect::<io::Result<_>>().map_err(failed)?;
        Self::new(listeners, address, config)
    }

    fn new(listeners: Vec<TcpListener>, address: SocketAddr, config: &config::Server) -> Result<Self, BindError> {
        let connections = Arc::new(Semaphore::new(config.connections.get()));
        let limits = ConnectionLimits::new(config, connections, Arc::default())?;
        Ok(Self { listeners, address, connections: Connections(Current::new(limits)) })
    }

    /// What is asked of its connections, to be changed while it serves.
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then finishes the requests under way within `server.drain_timeout`.
    ///
    /// # Errors
    /// A serving thread cannot be started.
    pub fn run(self, proxy: &Current<Proxy>, log: &AccessLog, stop: &CancellationToken) -> io::Result<()> {
        let threads = self.listeners.into_iter().enumerate().map(|(n, listener)| {
            let (limits, proxy, log, stop) = (self.connections.0.clone(), proxy.clone(), log.page(), stop.clone());
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(BLOCKING_THREADS_MAX)
                .build()?;
            thread::Builder::new()
                .name(format!("serve-{n}"))
                .spawn(move || runtime.block_on(serve(listener, limits, proxy, log, stop)))
        });
        let threads: Vec<JoinHandle<io::Result<()>>> = threads.collect::<io::Result<_>>()?;
        for thread in threads {
            thread.join().map_err(|_| io::Error::other("a serving thread panicked"))??;
        }
        Ok(())
    }
}

fn threads(config: &config::Server) -> usize {
    match config.threads {
        0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
        threads => threads,
    }
}

/// One serving thread: accepts until told to stop, then waits for its connections.
async fn serve(
    listener: TcpListener,
    current: Current<ConnectionLimits>,
    proxy: Current<Proxy>,
    log: AccessPage,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let graceful = GracefulShutdown::new();
    let leaving = Arc::<AtomicBool>::default();
    // What these say of all connections does not change.
    let limits = current.get();
    let mut patience = Patience::new();
    let mut looks = tokio::time::interval(Patience::period(limits.idle_timeout));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (permit, stream, peer) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = looks.tick() => {
                patience.look();
                continue;
            }
            accepted = accept(&listener, &limits) => accepted,
        };
        let (limits, proxy, log, watcher) = (current.get(), proxy.clone(), log.clone(), graceful.watcher());
        let signs = Arc::<Signs>::default();
        let connection = Connection { limits, proxy, log, signs: signs.clone(), leaving: leaving.clone() };
        let task = tokio::spawn(async move {
            connection.run(stream, peer, watcher).await;
            drop(permit);
        });
        patience.watch(signs, task.abort_handle());
    }
    drop(listener);
    leaving.store(true, Relaxed);
    let began = Instant::now();
    while graceful.count() > 0 && began.elapsed() < LEAVING {
        tokio::time::sleep(LEAVING / 25).await;
    }
    if timeout(limits.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open after server.drain_timeout");
    }
    Ok(())
}

/// The next connection. At the limit of connections the kernel's queue holds the others.
async fn accept(
    listener: &tokio::net::TcpListener,
    limits: &ConnectionLimits,
) -> (impl Drop + use<>, TcpStream, SocketAddr) {
    loop {
        let Ok(permit) = limits.connections.clone().acquire_owned().await else {
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((stream, peer)) => return (permit, stream, peer),
            Err(error) => {
                // Out of descriptors, most likely: to try again at once would only burn the processor.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
