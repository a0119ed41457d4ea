//! The second listener, for those who operate this: health, numbers, commands. Never for clients.
//!
//! It is made of *routes*, each a method, a path and a handler; what a route does, its owner knows. To mount one:
//!
//! ```
//! # use resized::admin::{Admin, Access, text};
//! # use http::{Method, StatusCode};
//! # let admin = Admin::new(Default::default());
//! let admin = admin.route(Method::POST, "/purge", Access::Operator, |request| async move {
//!     text(StatusCode::OK, format!("{} bytes were sent\n", request.body().len()))
//! });
//! ```
//!
//! Without a token only a loopback address is listened on, and then requests must come with the name of this machine:
//! a page in the operator's browser can reach the address, but neither under another name nor across origins.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Secret};
use crate::support::hot_swap::HotSwap;

mod access_control;
mod health;
mod pages;
pub mod routes;

pub use health::Health;
pub use pages::Pages;

/// A request whose body has been read.
pub type AdminRequest = Request<Bytes>;
/// An answer, whole in memory.
pub type AdminResponse = Response<Full<Bytes>>;

/// How bodies of a route are taken.
#[derive(Debug, Clone)]
pub struct Bodies {
    /// The most that one may have; more is 413.
    bytes_max: usize,
    /// Requests whose bodies are in memory at once; one more is 503. `None`: as many as there are connections.
    at_once: Option<Arc<Semaphore>>,
}

impl Bodies {
    /// Large ones: at most `bytes_max` each, and `at_once` of them in memory.
    #[must_use]
    pub fn large(bytes_max: usize, at_once: usize) -> Self {
        Self { bytes_max, at_once: Some(Arc::new(Semaphore::new(at_once))) }
    }
}

impl Default for Bodies {
    fn default() -> Self {
        Self { bytes_max: BODY_BYTES_MAX, at_once: None }
    }
}

/// What one method of a path does.
struct Route {
    method: Method,
    access: Access,
    bodies: Bodies,
    handler: Handler,
}

type Handler = Arc<dyn Fn(AdminRequest) -> BoxFuture<'static, AdminResponse> + Send + Sync>;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone who reaches the listener: the probes of a load balancer.
    Anyone,
    /// Whoever has the token, where there is one.
    Operator,
}

/// The routes of the listener.
#[derive(Default)]
pub struct Admin {
    token: HotSwap<Secret>,
    /// By path, then by method.
    routes: BTreeMap<&'static str, Vec<Route>>,
}

/// Connections at once; one more waits in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;
/// A request's body: a batch of event notifications is the largest. More is 413.
const BODY_BYTES_MAX: usize = 1 << 20;
/// How long a request may take to arrive whole; then its connection is closed.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long one answer may take; then 504. Purges list buckets.
const ANSWER_TIME: Duration = Duration::from_secs(60);

impl Admin {
    /// No routes yet; `token` is asked for where a route is the operator's, unless it is empty.
    #[must_use]
    pub fn new(token: HotSwap<Secret>) -> Self {
        Self { token, routes: BTreeMap::new() }
    }

    /// The same with one more route. A `path` that ends in `/*` stands for all that begin so.
    #[must_use]
    pub fn route<F>(
        self,
        method: Method,
        path: &'static str,
        access: Access,
        handler: impl Fn(AdminRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = AdminResponse> + Send + 'static,
    {
        self.route_with(Bodies::default(), method, path, access, handler)
    }

    /// As [`Admin::route`], with bodies of another size.
    #[must_use]
    pub fn route_with<F>(
        mut self,
        bodies: Bodies,
        method: Method,
        path: &'static str,
        access: Access,
        handler: impl Fn(AdminRequest) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = AdminResponse> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |request| handler(request).boxed());
        self.routes.entry(path).or_default().push(Route { method, access, bodies, handler });
        self
    }

    /// Serves until `stop`. What is under way then is given up: nothing here is worth a wait.
    ///
    /// # Errors
    /// The listener cannot be used on this runtime.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (this, permits) = (Arc::new(self), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { return Ok(()) };
            let accepted = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, _)) = accepted else {
                // Out of descriptors, most likely: they come back with time only.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (this, stop) = (this.clone(), stop.clone());
            tokio::spawn(async move {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = this.connection(stream) => {}
                }
                drop(permit);
            });
        }
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        let service = service_fn(move |request| {
            let this = self.clone();
            async move { Ok::<_, Infallible>(this.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIME)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an admin connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> AdminResponse {
        let mut response = self.dispatch(request).await.unwrap_or_else(|refusal| refusal);
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        response
    }

    /// The answer of the route, or else the refusal.
    async fn dispatch(&self, request: Request<Incoming>) -> Result<AdminResponse, AdminResponse> {
        let routes = self.find(request.uri().path());
        let routes = routes.ok_or_else(|| text(StatusCode::NOT_FOUND, "there is nothing under this path\n"))?;
        // HEAD is GET without a body, and the body is dropped by hyper.
        let method = if *request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let route = routes.iter().find(|route| route.method == *method);
        let Route { access, bodies, handler, .. } = route.ok_or_else(|| method_not_allowed(routes))?;
        if *access == Access::Operator {
            access_control::check(&request, &self.token.get()).map_err(refused)?;
        }
        // Kept until the answer is there: the handler has the body until then.
        let _place = match &bodies.at_once {
            Some(places) => Some(places.clone().try_acquire_owned().map_err(|_| busy())?),
            None => None,
        };
        let (parts, body) = request.into_parts();
        let body = tokio::time::timeout(REQUEST_TIME, Limited::new(body, bodies.bytes_max).collect()).await;
        let body = body.map_err(|_| text(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n"))?;
        let body = body.map_err(|_| {
            text(
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is broken, or has more than {} bytes\n", bodies.bytes_max),
            )
        })?;
        let answer = handler(Request::from_parts(parts, body.to_bytes()));
        let answer = tokio::time::timeout(ANSWER_TIME, answer).await;
        answer.map_err(|_| text(StatusCode::GATEWAY_TIMEOUT, "the answer took too long\n"))
    }

    fn find(&self, path: &str) -> Option<&[Route]> {
        let below = |route: &&str| route.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix));
        let found = self.routes.get(path).or_else(|| self.routes.get(self.routes.keys().copied().find(below)?));
        found.map(Vec::as_slice)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("paths", &self.routes.keys()).finish_non_exhaustive()
    }
}

/// Binds the listener, if there is to be one. A process that takes over may bind the same port while the old one drains.
///
/// # Errors
/// The address is in use or not ours.
pub fn bind(config: &config::Admin) -> std::io::Result<Option<TcpListener>> {
    let Some(address) = config.listen else { return Ok(None) };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(CONNECTIONS_MAX).unwrap_or(i32::MAX))?;
    Ok(Some(socket.into()))
}

/// An answer in plain text.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> AdminResponse {
    typed(status, "text/plain; charset=utf-8", body)
}

/// An answer of another type.
pub fn typed(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> AdminResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn busy() -> AdminResponse {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "others are using this at the moment; try again\n");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn method_not_allowed(routes: &[Route]) -> AdminResponse {
    let allowed: Vec<_> = routes.iter().map(|route| route.method.as_str()).collect();
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {}\n", allowed.join(", ")));
    if let Ok(allowed) = HeaderValue::try_from(allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}

fn refused(refusal: access_control::Refusal) -> AdminResponse {
    let mut response = text(refusal.status(), format!("{refusal}\n"));
    if refusal == access_control::Refusal::Token {
        // A browser asks for a name and a password then; the password is the token.
        let challenge = HeaderValue::from_static(r#"Basic realm="resized admin", charset="UTF-8""#);
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}
