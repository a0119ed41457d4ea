//! Serves one connection.

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

use super::connection_config::ConnectionConfig;
use super::connection_limits::ConnectionPermit;
use super::idle_timeout::Activity;
use super::recorded_stream::RecordedStream;
use super::write_coalescer::{self, CoalescingStream};
use crate::observability::access_log::AccessLogBuffer;
use crate::proxy::{Body, Proxy};
use crate::support::hot_swap::HotSwap;
use crate::support::request_filter::{Protocol, RequestFilter};

/// One accepted connection.
pub(super) struct Connection {
    pub(super) config: Arc<ConnectionConfig>,
    pub(super) proxy: HotSwap<Proxy>,
    pub(super) log: AccessLogBuffer,
    /// Shared with the [`IdleReaper`](super::idle_timeout::IdleReaper), which closes the connection if it is idle.
    pub(super) activity: Arc<Activity>,
    /// True during shutdown: each HTTP/1.1 response then closes its connection.
    pub(super) draining: Arc<AtomicBool>,
}

/// A connection after the PROXY protocol and the TLS handshake.
struct Handshaken {
    stream: HandshakenStream,
    client: IpAddr,
    /// Held until the connection ends; `None` if the client is not limited.
    _permit: Option<ConnectionPermit>,
}

enum HandshakenStream {
    Plain(Tcp),
    Tls(Box<tokio_rustls::server::TlsStream<CoalescingStream<Tcp>>>),
}

/// Boxed because the timers of `TimeoutStream` must not move, while TLS and hyper move their streams.
type Tcp = Pin<Box<TimeoutStream<TcpStream>>>;

/// Maximum number of concurrent streams on an HTTP/2 connection.
const HTTP2_STREAMS_MAX: u32 = 200;

impl Connection {
    /// Serves requests until either side closes the connection.
    pub(super) async fn run(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // A failure only costs latency.
        let _ = stream.set_nodelay(true);
        let handshake = timeout(self.config.idle_timeout, self.handshake(stream, peer)).await;
        let Handshaken { stream, client, _permit } = match handshake.unwrap_or_else(|timeout| Err(timeout.into())) {
            Ok(handshaken) => handshaken,
            Err(error) => return tracing::debug!(%error, %peer, "connection closed before the first request"),
        };
        match stream {
            HandshakenStream::Plain(stream) => self.serve(stream, Protocol::ByPreface, client, watcher).await,
            HandshakenStream::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                let (socket, is_http2) = (socket.clone_handle(), session.alpn_protocol() == Some(b"h2"));
                let protocol = if is_http2 { Protocol::Http2 } else { Protocol::Http1 };
                let serving = self.serve(stream, protocol, client, watcher);
                if !is_http2 {
                    serving.await;
                } else if let Err(error) = write_coalescer::drive(socket, serving).await {
                    tracing::debug!(%error, "connection failed");
                }
            }
        }
    }

    /// Reads the PROXY protocol header and performs the TLS handshake, as configured.
    ///
    /// # Errors
    /// The handshake fails, or the client already has `server.connections_per_client` connections. Connections of trusted
    /// proxies are not limited, because many clients share them.
    async fn handshake(&self, mut stream: TcpStream, peer: SocketAddr) -> io::Result<Handshaken> {
        let config = &*self.config;
        let client = config.trusted_proxies.connection_client(&mut stream, peer).await?;
        let permit = if config.per_client_max == 0 || config.trusted_proxies.contains(client) {
            None
        } else {
            let permit = config.clients.try_acquire(client, config.per_client_max);
            Some(permit.ok_or_else(|| io::Error::other("the client has server.connections_per_client connections"))?)
        };
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(config.write_timeout));
        let stream = Box::pin(stream);
        let stream = match &config.tls {
            None => HandshakenStream::Plain(stream),
            Some(tls) => HandshakenStream::Tls(Box::new(tls.accept(CoalescingStream::new(stream)).await?)),
        };
        Ok(Handshaken { stream, client, _permit: permit })
    }

    /// Serves HTTP requests of `client`.
    async fn serve<S>(&self, stream: S, protocol: Protocol, client: IpAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { config, proxy, log, activity, draining } = self;
        // A connection speaks only the protocol that ALPN selected.
        let mut builder = match protocol {
            Protocol::Http1 => auto::Builder::new(TokioExecutor::new()).http1_only(),
            Protocol::Http2 => auto::Builder::new(TokioExecutor::new()).http2_only(),
            Protocol::ByPreface => auto::Builder::new(TokioExecutor::new()),
        };
        // The `IdleReaper` enforces the header timeout of HTTP/1.1. A client that has closed its direction of the
        // connection gets its response.
        builder.http1().header_read_timeout(None).half_close(true).max_buf_size(config.header_bytes_max);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_header_list_size(u32::try_from(config.header_bytes_max).unwrap_or(u32::MAX))
            .keep_alive_interval(config.idle_timeout)
            .keep_alive_timeout(config.idle_timeout);

        let (current, refused) = (proxy.clone(), log.clone());
        let refuse = move |refusal| {
            let response = current.get().refuse(refusal);
            refused.write_refused(client, &response);
            response
        };
        let stream = RequestFilter::new(RecordedStream::new(stream, activity.clone()), protocol, refuse);
        let service = service_fn(|request: Request<Incoming>| {
            let active = activity.start_request(request.version());
            let is_over_limit = config.requests_max != 0 && activity.total_requests() >= config.requests_max;
            let is_last = is_last(&request, is_over_limit || draining.load(Relaxed));
            let (proxy, log) = (proxy.get(), log.clone());
            let client = config.trusted_proxies.request_client(client, request.headers());
            async move {
                let _active = active;
                let mut response = respond(&proxy, &log, client, request).await;
                if is_last {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let result = watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await;
        if let Err(error) = result {
            tracing::debug!(error, "connection failed");
        }
    }
}

/// Returns true if an HTTP/1.1 connection must close after this request.
///
/// It must close if `is_over` is true or if the request has a chunked body: servers disagree most often on the end of
/// such a body. HTTP/2 needs no such check, because it frames its requests.
fn is_last(request: &Request<Incoming>, is_over: bool) -> bool {
    let is_chunked =
        !matches!(*request.method(), Method::GET | Method::HEAD) && request.headers().contains_key(TRANSFER_ENCODING);
    request.version() <= Version::HTTP_11 && (is_over || is_chunked)
}

/// Passes a request to the proxy and writes the access log.
async fn respond(
    proxy: &Arc<Proxy>,
    log: &AccessLogBuffer,
    client: IpAddr,
    request: Request<Incoming>,
) -> Response<Body> {
    if proxy.takes_upload(request.method(), request.uri().path()) {
        let start = Instant::now();
        let (head, body) = request.into_parts();
        let mut logged = Request::from_parts(head.clone(), ());
        // The query of a completion request is a credential: it stays out of the log.
        *logged.uri_mut() = Uri::builder().path_and_query(head.uri.path()).build().unwrap_or_default();
        // Boxed because this large future would otherwise be part of the future of every request.
        let response = Box::pin(proxy.upload(client, Request::from_parts(head, body))).await;
        log.write(client, &logged, &response, start.elapsed());
        return response;
    }
    let answered = proxy.answer(client, &request).await;
    log.write(client, &request, &answered.response, answered.elapsed);
    answered.response
}
