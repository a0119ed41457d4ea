//! Sockets: listeners, serving threads, connections and graceful shutdown.
//!
//! Each serving thread has a single-threaded runtime and a listener (`SO_REUSEPORT`), so a connection never moves
//! between threads and the kernel distributes the load. Slow work runs on other threads, see [`crate::support::tasks`].
//! This module implements the framing of HTTP and passes requests to the proxy.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;

use crate::observability::access_log::{AccessLog, AccessLogBuffer};
use crate::proxy::Proxy;
use crate::support::hot_swap::HotSwap;
use crate::support::listener::{AcceptPauses, Acceptor};
use crate::support::priority::BLOCKING_THREADS_MAX;

mod client_address;
mod proxy_protocol;
mod connection;
mod connection_config;
mod http2;
mod idle_timeout;
mod listeners;
mod preface;
mod recorded_stream;
mod tls;
mod write_coalescer;

use connection::Connection;
pub use connection_config::ConnectionConfig;
use idle_timeout::{Activity, IdleReaper};
pub use listeners::Listeners;
pub use tls::TlsError;

/// Serves requests with a proxy.
#[derive(Debug)]
pub struct Server {
    /// The configuration of new connections.
    pub connections: HotSwap<ConnectionConfig>,
    pub proxy: HotSwap<Proxy>,
    pub access_log: AccessLog,
    pub accept_pauses: AcceptPauses,
}

/// Time at shutdown from which responses have `Connection: close` until idle connections are closed. A client that
/// sends a request while its idle connection is being closed gets no response.
const DRAIN_NOTICE: Duration = Duration::from_millis(250);

impl Server {
    /// Serves until `shutdown`, then finishes the open requests within `server.drain_timeout` and writes the access log.
    ///
    /// # Errors
    /// A serving thread cannot be started.
    pub fn run(self, listeners: Listeners, shutdown: &CancellationToken) -> io::Result<()> {
        let Self { connections, proxy, access_log, accept_pauses } = self;
        let threads = listeners.into_sockets().into_iter().enumerate().map(|(n, listener)| {
            let thread = ServingThread {
                connections: connections.clone(),
                proxy: proxy.clone(),
                log: access_log.buffer(),
                shutdown: shutdown.clone(),
                accept_pauses: accept_pauses.clone(),
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
        access_log.finish();
        Ok(())
    }
}

/// The state that one serving thread passes to its connections.
struct ServingThread {
    connections: HotSwap<ConnectionConfig>,
    proxy: HotSwap<Proxy>,
    log: AccessLogBuffer,
    shutdown: CancellationToken,
    accept_pauses: AcceptPauses,
}

impl ServingThread {
    /// Accepts connections until shutdown, then waits for the open ones.
    async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let mut acceptor = Acceptor::new(listener, self.accept_pauses)?;
        let graceful = GracefulShutdown::new();
        let (draining, closing) = (Arc::<AtomicBool>::default(), CancellationToken::new());
        // A reload does not change the connection limit, the idle timeout or the drain timeout.
        let fixed = self.connections.get();
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
                accepted = accept(&mut acceptor, &fixed) => accepted,
            };
            let activity = Arc::new(Activity::new(&closing));
            let watcher = graceful.watcher();
            let connection = Connection {
                config: self.connections.get(),
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
        drop(acceptor);
        draining.store(true, Relaxed);
        let start = Instant::now();
        while graceful.count() > 0 && start.elapsed() < DRAIN_NOTICE {
            tokio::time::sleep(DRAIN_NOTICE / 25).await;
        }
        closing.cancel();
        if timeout(fixed.drain_timeout, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections still open after server.drain_timeout");
        }
        Ok(())
    }
}

/// Accepts the next connection. While `server.connections` are open, new ones wait in the kernel's backlog.
async fn accept(acceptor: &mut Acceptor, config: &ConnectionConfig) -> (OwnedSemaphorePermit, TcpStream, SocketAddr) {
    let Ok(permit) = config.permits.clone().acquire_owned().await else { return std::future::pending().await };
    let (stream, peer) = acceptor.accept().await;
    (permit, stream, peer)
}
