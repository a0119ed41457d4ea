//! One connection, from its first byte to its last answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;

use super::connection_config::ConnectionLimits;
use super::connection_limits::Place;
use super::idle_timeout::Signs;
use super::smuggling_guard::Strict;
use super::write_coalescer::{self, Corked};
use crate::observability::telemetry::AccessPage;
use crate::proxy::{Body, Proxy};
use crate::support::hot_swap::Current;

/// What a connection is served with.
pub(super) struct Connection {
    pub(super) limits: Arc<ConnectionLimits>,
    pub(super) proxy: Current<Proxy>,
    pub(super) log: AccessPage,
    /// What it does, for whoever ends it if it does nothing.
    pub(super) signs: Arc<Signs>,
    /// Whether clients are to come back on another connection.
    pub(super) leaving: Arc<AtomicBool>,
}

/// A connection over which HTTP can be spoken.
enum Greeted {
    Plain(Tcp),
    Tls(Box<tokio_rustls::server::TlsStream<Corked<Tcp>>>),
}

/// In a box, as its timers may not move and TLS and hyper move their streams.
type Tcp = Pin<Box<TimeoutStream<TcpStream>>>;

/// HTTP/2 requests at once on one connection.
const STREAMS_MAX: u32 = 200;

impl Connection {
    /// Answers until one side ends it.
    pub(super) async fn run(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // Nothing is lost if this fails but a little speed.
        let _ = stream.set_nodelay(true);
        let greeting = timeout(self.limits.idle_timeout, self.greet(stream, peer)).await;
        match greeting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((Greeted::Plain(stream), client, _place)) => self.serve(stream, client, watcher).await,
            Ok((Greeted::Tls(stream), client, _place)) => {
                let (socket, session) = stream.get_ref();
                let (socket, is_http2) = (socket.again(), session.alpn_protocol() == Some(b"h2"));
                let serving = self.serve(stream, client, watcher);
                if !is_http2 {
                    serving.await;
                } else if let Err(error) = write_coalescer::bottle(socket, serving).await {
                    tracing::debug!(%error, "a connection ended early");
                }
            }
            Err(error) => tracing::debug!(%error, %peer, "a connection ended before its first request"),
        }
    }

    /// What comes before HTTP: the PROXY protocol and TLS, as configured. Says who the client is.
    ///
    /// # Errors
    /// A bad greeting, or a client that has as many connections as it may. Those of a proxy that others are behind are not counted.
    async fn greet(&self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<(Greeted, IpAddr, Option<Place>)> {
        let limits = &*self.limits;
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

    /// Speaks HTTP with `client`.
    async fn serve<S>(&self, stream: S, client: IpAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { limits, proxy, log, signs, leaving } = self;
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
