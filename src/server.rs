//! Sockets: listeners, serving threads, connections, and stopping in order.
//!
//! Each serving thread has a runtime and a listener of its own (`SO_REUSEPORT`), so a connection never changes threads
//! and the kernel spreads the load. Slow work runs elsewhere: see [`crate::tasks`]. This module knows HTTP's framing and
//! nothing of what is asked.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, timeout};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::config;
use crate::current::Current;
use crate::priority::BLOCKING_THREADS_MAX;
use crate::proxy::{Body, Proxy};
use crate::telemetry::{AccessLog, AccessPage};

mod client;
mod corked;
mod listeners;
mod patience;
mod places;
mod strict;
mod tls;

use client::Trusted;
use corked::Corked;
pub use listeners::inherited;
use patience::{Patience, Signs};
use places::{Place, Places};
use strict::Strict;
pub use tls::TlsError;

/// Listeners bound to one address, ready to serve.
pub struct Server {
    listeners: Vec<TcpListener>,
    address: SocketAddr,
    connections: Connections,
}

/// What is asked of connections, for those to come.
#[derive(Clone)]
pub struct Connections(Current<ConnectionLimits>);

/// What will be asked of connections.
pub struct Prepared(ConnectionLimits);

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

struct ConnectionLimits {
    /// One permit a connection.
    connections: Arc<Semaphore>,
    places: Arc<Places>,
    /// Zero is no limit.
    per_client: usize,
    idle_timeout: Duration,
    write_timeout: Duration,
    drain_timeout: Duration,
    header_bytes_max: usize,
    /// Zero is no limit.
    requests_max: usize,
    trusted: Trusted,
    tls: Option<TlsAcceptor>,
}

/// How long clients are told to come back on another connection, before those are closed that asked for nothing meanwhile: who
/// asks in the moment of the closing hears nothing.
const LEAVING: Duration = Duration::from_millis(250);

/// The least that hyper takes for a header buffer.
const HEADER_BYTES_MIN: usize = 8192;

/// HTTP/2 requests at once on one connection.
const STREAMS_MAX: u32 = 200;

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

impl ConnectionLimits {
    /// `connections` and `places` are what those that are open already have.
    fn new(config: &config::Server, connections: Arc<Semaphore>, places: Arc<Places>) -> Result<Self, TlsError> {
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
        let signals = (signs.clone(), leaving.clone());
        let task = tokio::spawn(async move {
            // Nothing is lost if this fails but a little speed.
            let _ = stream.set_nodelay(true);
            let greeting = timeout(limits.idle_timeout, greet(stream, peer, &limits)).await;
            match greeting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok((Greeted::Plain(stream), client, _place)) => {
                    connection(stream, client, &limits, proxy, log, watcher, signals).await
                }
                Ok((Greeted::Tls(stream), client, _place)) => {
                    let (socket, session) = stream.get_ref();
                    let (socket, is_http2) = (socket.again(), session.alpn_protocol() == Some(b"h2"));
                    let connection = connection(stream, client, &limits, proxy, log, watcher, signals);
                    if !is_http2 {
                        connection.await;
                    } else if let Err(error) = corked::bottle(socket, connection).await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                }
                Err(error) => tracing::debug!(%error, %peer, "a connection ended before its first request"),
            }
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

/// A connection over which HTTP can be spoken.
enum Greeted {
    Plain(Tcp),
    Tls(Box<tokio_rustls::server::TlsStream<Corked<Tcp>>>),
}

/// In a box, as its timers may not move and TLS and hyper move their streams.
type Tcp = Pin<Box<TimeoutStream<TcpStream>>>;

/// What comes before HTTP: the PROXY protocol and TLS, as configured. Says who the client is.
///
/// # Errors
/// A bad greeting, or a client that has as many connections as it may. Those of a proxy that others are behind are not counted.
async fn greet(
    mut stream: TcpStream,
    peer: SocketAddr,
    limits: &ConnectionLimits,
) -> io::Result<(Greeted, IpAddr, Option<Place>)> {
    let client = limits.trusted.client(&mut stream, peer).await?;
    let place = if limits.per_client == 0 || limits.trusted.trusts(client) {
        None
    } else {
        let place = limits.places.take(client, limits.per_client);
        Some(place.ok_or_else(|| io::Error::other("its client has server.connections_per_client"))?)
    };
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_timeout));
    let stream = Box::pin(stream);
    let Some(tls) = &limits.tls else { return Ok((Greeted::Plain(stream), client, place)) };
    let stream = Box::new(tls.accept(Corked::new(stream)).await?);
    Ok((Greeted::Tls(stream), client, place))
}

async fn connection<S>(
    stream: S,
    client: IpAddr,
    limits: &ConnectionLimits,
    proxy: Current<Proxy>,
    log: AccessPage,
    watcher: Watcher,
    (signs, leaving): (Arc<Signs>, Arc<AtomicBool>),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Header timeouts are `Patience`'s.
    builder.http1().header_read_timeout(None).max_buf_size(limits.header_bytes_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.idle_timeout)
        .keep_alive_timeout(limits.idle_timeout);

    let stream = TokioIo::new(Strict::new(stream, signs.clone()));
    let service = service_fn(|request: Request<Incoming>| {
        let serving = signs.serving(request.version());
        let over = limits.requests_max != 0 && signs.requests() >= limits.requests_max;
        let is_last = is_last(&request, over || leaving.load(Relaxed));
        let (proxy, log) = (proxy.get(), log.clone());
        let client = limits.trusted.forwarded(client, request.headers());
        async move {
            let _serving = serving;
            let mut response = answer(&proxy, &log, client, request).await;
            if is_last {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let ended = watcher.watch(builder.serve_connection(stream, service)).await;
    if let Err(error) = ended {
        tracing::debug!(error, "a connection ended early");
    }
}

/// Whether an HTTP/1.1 connection ends with this request: it `is_over` anyway, or where a body of chunks ends is known to
/// hyper alone, so that what comes behind it could not be looked through by `Strict`. HTTP/2 has frames of its own for that.
fn is_last(request: &Request<Incoming>, is_over: bool) -> bool {
    let has_chunks =
        !matches!(*request.method(), Method::GET | Method::HEAD) && request.headers().contains_key(TRANSFER_ENCODING);
    request.version() <= Version::HTTP_11 && (is_over || has_chunks)
}

/// An upload's answer, or a picture; and its line in the log.
async fn answer(proxy: &Arc<Proxy>, log: &AccessPage, client: IpAddr, request: Request<Incoming>) -> Response<Body> {
    if proxy.takes_upload(request.method(), request.uri().path()) {
        let start = Instant::now();
        let (head, body) = request.into_parts();
        let mut asked = Request::from_parts(head.clone(), ());
        // The query of a completion lets whoever reads the log complete it.
        *asked.uri_mut() = Uri::builder().path_and_query(head.uri.path()).build().unwrap_or_default();
        // Its future is large, and would be moved with that of every request.
        let response = Box::pin(proxy.upload(client, Request::from_parts(head, body))).await;
        log.write(client, &asked, &response, start.elapsed());
        return response;
    }
    let answered = proxy.answer(client, &request).await;
    log.write(client, &request, &answered.response, answered.elapsed);
    answered.response
}
