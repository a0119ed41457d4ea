//! The admin listener for operators: health checks, metrics and commands. It must not be reachable by clients.
//!
//! The server dispatches requests to [`Route`]s. A route has a method, a path and a handler:
//!
//! ```
//! # use resized::admin::{AdminServer, Route, text};
//! # use http::StatusCode;
//! let echo = Route::post("/echo", |request| async move {
//!     text(StatusCode::OK, format!("{} bytes received\n", request.body().len()))
//! });
//! let server = AdminServer::new(Default::default(), [echo]);
//! ```
//!
//! Without a token the server listens only on a loopback address, and a request must name this host in its `Host`
//! header. This protects against web pages in the operator's browser, which can reach that address. After DNS rebinding
//! their requests have another name in the `Host` header, and their cross-origin commands have a foreign `Origin`
//! header.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Secret;
use crate::support::hot_swap::HotSwap;
use crate::support::listener::{self, AcceptPauses, Acceptor};
use crate::support::pace::PacedStream;
use crate::support::request_filter::{HEADER_BYTES_MAX, Refusal, RequestFilter};

mod access_control;
mod health;
mod pages;
mod route;
pub mod routes;

use access_control::{AccessControl, AccessDenied};
use route::Access;
pub use route::{BodyLimit, Route};

/// A request with its complete body.
pub type AdminRequest = Request<Bytes>;
/// A response with its complete body.
pub type AdminResponse = Response<Full<Bytes>>;

/// Serves the routes of the admin listener.
pub struct AdminServer {
    token: HotSwap<Secret>,
    access: AccessControl,
    /// The routes of each path.
    routes: BTreeMap<&'static str, Vec<Route>>,
}

/// Maximum number of connections; further ones wait in the kernel's backlog.
const CONNECTIONS_MAX: usize = 64;
/// Time limit for receiving the header of a request, and again for receiving its body. Also the time for which a client may
/// take nothing of a response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit for a handler, after which the response is 504. It is long because a purge lists a bucket.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

impl AdminServer {
    /// Creates a server of `routes`. If `token` is not empty, operator routes require it.
    #[must_use]
    pub fn new(token: HotSwap<Secret>, routes: impl IntoIterator<Item = Route>) -> Self {
        let mut server = Self { token, access: AccessControl::new(), routes: BTreeMap::new() };
        for route in routes {
            server.routes.entry(route.path).or_default().push(route);
        }
        server
    }

    /// Serves until `shutdown`, then drops the open connections.
    ///
    /// # Errors
    /// The listener cannot be used on this runtime.
    pub async fn run(
        self,
        listener: TcpListener,
        pauses: AcceptPauses,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        let mut acceptor = Acceptor::new(listener, pauses)?;
        let (this, permits) = (Arc::new(self), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
            let (stream, peer) = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                accepted = acceptor.accept() => accepted,
            };
            let (this, shutdown) = (this.clone(), shutdown.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = this.serve_connection(stream, peer.ip()) => {}
                }
                drop(permit);
            });
        }
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream, client: IpAddr) {
        let service = service_fn(move |request| {
            let this = self.clone();
            async move { Ok::<_, Infallible>(this.respond(client, request).await) }
        });
        let stream = RequestFilter::new(PacedStream::new(stream, REQUEST_TIMEOUT), refuse);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIMEOUT)
            .max_buf_size(HEADER_BYTES_MAX)
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "admin connection failed");
        }
    }

    async fn respond(&self, client: IpAddr, request: Request<Incoming>) -> AdminResponse {
        with_common_headers(self.dispatch(client, request).await.unwrap_or_else(|error| error))
    }

    /// Calls the handler of the route. Returns an error response if no handler is called or the handler does not
    /// finish.
    async fn dispatch(&self, client: IpAddr, request: Request<Incoming>) -> Result<AdminResponse, AdminResponse> {
        let routes = self.find(request.uri().path());
        let routes = routes.ok_or_else(|| text(StatusCode::NOT_FOUND, "no such path\n"))?;
        // hyper drops the body of the response to a HEAD request.
        let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let route = routes.iter().find(|route| route.method == *method);
        let Route { access, body_limit, handler, .. } = route.ok_or_else(|| method_not_allowed(routes))?;
        if *access == Access::Operator {
            self.access.check(client, &request, &self.token.get()).map_err(access_denied)?;
        }
        // The permit is held until the handler returns, because the handler owns the body until then.
        let _permit = match &body_limit.permits {
            Some(permits) => Some(permits.clone().try_acquire_owned().map_err(|_| overloaded())?),
            None => None,
        };
        let (parts, body) = request.into_parts();
        let body = tokio::time::timeout(REQUEST_TIMEOUT, Limited::new(body, body_limit.bytes_max).collect()).await;
        let body = body.map_err(|_| text(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time\n"))?;
        let body = body.map_err(|error| {
            let bytes_max = body_limit.bytes_max;
            if error.is::<LengthLimitError>() {
                text(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is larger than {bytes_max} bytes\n"))
            } else {
                text(StatusCode::BAD_REQUEST, "the body is incomplete or invalid\n")
            }
        })?;
        let response = handler(Request::from_parts(parts, body.to_bytes()));
        let response = tokio::time::timeout(RESPONSE_TIMEOUT, response).await;
        response.map_err(|_| text(StatusCode::GATEWAY_TIMEOUT, "the command took too long\n"))
    }

    /// Finds the routes of `path`: an exact path takes precedence over a prefix.
    fn find(&self, path: &str) -> Option<&[Route]> {
        let is_prefix = |route: &&str| route.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix));
        let found = self.routes.get(path).or_else(|| self.routes.get(self.routes.keys().copied().find(is_prefix)?));
        found.map(Vec::as_slice)
    }
}

impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminServer").field("paths", &self.routes.keys()).finish_non_exhaustive()
    }
}

/// Binds the admin listener. During a restart the new process can bind the port while the old one drains.
///
/// # Errors
/// The address is in use or not local.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    listener::bind(address, i32::try_from(CONNECTIONS_MAX).unwrap_or(i32::MAX))
}

/// Creates a plain text response.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> AdminResponse {
    with_type(status, "text/plain; charset=utf-8", body)
}

/// Creates a JSON response with status 200.
pub fn json(value: &serde_json::Value) -> AdminResponse {
    with_type(StatusCode::OK, "application/json", format!("{value}\n"))
}

/// Creates a response with the given content type.
pub fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> AdminResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The response to a request that is not valid HTTP.
fn refuse(refusal: Refusal) -> Response<Bytes> {
    let message = Bytes::from(format!("{refusal}\n"));
    let mut response = with_common_headers(text(refusal.status(), Bytes::new())).map(|_| message.clone());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(message.len()));
    response
}

fn with_common_headers(mut response: AdminResponse) -> AdminResponse {
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn overloaded() -> AdminResponse {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "too many requests of this kind; try again\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn method_not_allowed(routes: &[Route]) -> AdminResponse {
    let allowed: Vec<_> = routes.iter().map(|route| route.method.as_str()).collect();
    let allowed = allowed.join(", ");
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("this path supports {allowed}\n"));
    if let Ok(allowed) = HeaderValue::try_from(allowed) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

fn access_denied(error: AccessDenied) -> AdminResponse {
    let mut response = text(error.status(), format!("{error}\n"));
    match error {
        AccessDenied::Token => {
            // Browsers then prompt for a name and a password. The password is the token.
            let challenge = HeaderValue::from_static(r#"Basic realm="resized admin", charset="UTF-8""#);
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        AccessDenied::TooManyWrongTokens { retry_after } => {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs()));
        }
        AccessDenied::Host | AccessDenied::Origin => {}
    }
    response
}
