//! Serves one connection.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection_config::ConnectionConfig;
use super::http2::{Http2, StreamResponse};
use super::idle_timeout::Activity;
use super::preface::{Protocol, Rewound};
use super::recorded_stream::RecordedStream;
use super::write_coalescer::{self, CoalescingStream};
use crate::observability::access_log::AccessLogBuffer;
use crate::proxy::{Body, Proxy};
use crate::support::hot_swap::HotSwap;
use crate::support::pace::{BlockedTime, PacedStream};
use crate::support::per_client::ClientPermit;
use crate::support::request_filter::{HEADER_BYTES_MAX, RequestFilter};

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
    blocked: Arc<BlockedTime>,
    /// Held until the connection ends; `None` if the client is not limited.
    _permit: Option<ClientPermit>,
}

enum HandshakenStream {
    Plain(PacedStream<TcpStream>),
    Tls(Box<tokio_rustls::server::TlsStream<CoalescingStream<PacedStream<TcpStream>>>>),
}

/// Bytes of records that TLS may hold until the socket takes them.
const TLS_BUFFER_BYTES: usize = 32 << 10;

impl Connection {
    /// Serves requests until either side closes the connection.
    pub(super) async fn run(self, stream: TcpStream, peer: SocketAddr, watcher: Watcher) {
        // A failure only costs latency.
        let _ = stream.set_nodelay(true);
        let handshake = timeout(self.config.idle_timeout, self.handshake(stream, peer)).await;
        let handshaken = match handshake.unwrap_or_else(|timeout| Err(timeout.into())) {
            Ok(handshaken) => handshaken,
            Err(error) => return tracing::debug!(%error, %peer, "connection closed before the first request"),
        };
        if let Err(error) = self.serve(handshaken, watcher).await {
            tracing::debug!(error, "connection failed");
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
            let permit = config.clients.try_acquire(client, 1, config.per_client_max);
            Some(permit.ok_or_else(|| io::Error::other("the client has server.connections_per_client connections"))?)
        };
        let stream = PacedStream::new(stream, config.write_timeout);
        let blocked = stream.blocked_time();
        let stream = match &config.tls {
            None => HandshakenStream::Plain(stream),
            Some(tls) => {
                let stream = CoalescingStream::new(stream, config.buffers.clone());
                let mut stream = tls.accept(stream).await?;
                stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
                HandshakenStream::Tls(Box::new(stream))
            }
        };
        Ok(Handshaken { stream, client, blocked, _permit: permit })
    }

    /// Serves requests in the protocol that ALPN selected or, without TLS, that the first bytes show.
    async fn serve(&self, handshaken: Handshaken, watcher: Watcher) -> Result<(), BoxError> {
        let Handshaken { stream, client, blocked, _permit } = handshaken;
        match stream {
            HandshakenStream::Plain(stream) => {
                let detected = tokio::select! {
                    detected = Rewound::detect(stream) => detected?,
                    () = self.activity.closing() => return Ok(()),
                };
                let (protocol, stream) = detected;
                match protocol {
                    Protocol::Http1 => self.serve_http1(stream, client, watcher).await,
                    Protocol::Http2 => self.serve_http2(stream, client, blocked).await,
                }
            }
            HandshakenStream::Tls(stream) => {
                let (socket, session) = stream.get_ref();
                let (socket, is_http2) = (socket.clone_handle(), session.alpn_protocol() == Some(b"h2"));
                if is_http2 {
                    write_coalescer::drive(socket, self.serve_http2(stream, client, blocked)).await?
                } else {
                    self.serve_http1(stream, client, watcher).await
                }
            }
        }
    }

    async fn serve_http1<S>(&self, stream: S, client: IpAddr, watcher: Watcher) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { config, proxy, log, activity, draining } = self;
        let service = service_fn(|request: Request<Incoming>| {
            let active = activity.start_request(request.version());
            let is_over_limit = config.requests_max != 0 && activity.total_requests() >= config.requests_max;
            let is_last = is_last(&request, is_over_limit || draining.load(Relaxed));
            let response = self.answer(client, request);
            async move {
                let _active = active;
                let mut response = response.await;
                if is_last {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let (current, refused) = (proxy.clone(), log.clone());
        let refuse = move |refusal| {
            let response = current.get().refuse(refusal);
            refused.write_refused(client, &response);
            response
        };
        let stream = RecordedStream::new(stream, activity.clone());
        let stream = RequestFilter::new(stream, refuse);
        // The `IdleReaper` enforces the header timeout. A client that has closed its direction of the connection gets its
        // response.
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(None).half_close(true).max_buf_size(HEADER_BYTES_MAX);
        Ok(watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await?)
    }

    async fn serve_http2<S>(&self, stream: S, client: IpAddr, blocked: Arc<BlockedTime>) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Self { config, activity, .. } = self;
        let http2 = Http2 {
            activity: activity.clone(),
            requests_max: config.requests_max,
            write_timeout: config.write_timeout,
            blocked,
            takes_uploads: self.proxy.get().takes_upload(&Method::POST, "/upload"),
        };
        Ok(http2.serve(stream, |request| self.answer_stream(client, request), activity.closing()).await?)
    }

    /// Answers a request that arrived on an HTTP/2 connection of `peer`, unless too many responses are open.
    async fn answer_stream<B>(&self, peer: IpAddr, request: Request<B>) -> StreamResponse
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let proxy = self.proxy.get();
        let client = self.config.trusted_proxies.request_client(peer, request.headers());
        match proxy.admit_stream(client, request.headers()) {
            Ok(permit) => StreamResponse::Admitted(respond(&proxy, &self.log, client, request).await, permit),
            Err(response) => {
                self.log.write(client, &request, &*response, Duration::ZERO);
                StreamResponse::Refused(*response)
            }
        }
    }

    /// Answers a request that arrived on an HTTP/1 connection of `client`.
    fn answer<B>(&self, client: IpAddr, request: Request<B>) -> impl Future<Output = Response<Body>> + use<'_, B>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let client = self.config.trusted_proxies.request_client(client, request.headers());
        let (proxy, log) = (self.proxy.get(), &self.log);
        async move { respond(&proxy, log, client, request).await }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
async fn respond<B>(proxy: &Arc<Proxy>, log: &AccessLogBuffer, client: IpAddr, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
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
    // The body of any other request is not read.
    let request = request.map(drop);
    let answered = proxy.answer(client, &request).await;
    log.write(client, &request, &answered.response, answered.elapsed);
    answered.response
}
