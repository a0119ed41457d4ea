//! Requests that this program sends: over HTTP or HTTPS, to what config or the command line names and to nothing else.
//!
//! No redirect is followed: what was meant for one address is not for another. S3 is read by this, and written by its SDK.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{CaptureConnection, HttpConnector, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::error::Elapsed;
use tower_service::Service;

pub use hyper::body::Incoming;
pub use hyper_util::client::legacy::Error;

/// A client, with its own connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Client(legacy::Client<Timely<HttpsConnector<HttpConnector>>, Full<Bytes>>);

/// What a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    /// HTTP/1.1 without TLS, for which no certificates are needed.
    Plain,
    /// HTTP/1.1, over TLS or not.
    Http1,
    /// As well as HTTP/2 over TLS, where the server wants it.
    Http2,
}

/// What these requests call themselves.
pub const AGENT: &str = concat!("resized/", env!("CARGO_PKG_VERSION"));

/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(30);

impl Client {
    /// One whose connections may take `connect_timeout` to be made.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub fn new(connect_timeout: Duration) -> io::Result<Self> {
        Self::with(connect_timeout, IDLE, Protocols::Http1)
    }

    /// As [`Client::new`], and its connections are kept for `idle`.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub fn with(connect_timeout: Duration, idle: Duration, protocols: Protocols) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        // Of a name's addresses each has its share of this.
        connector.set_connect_timeout(Some(connect_timeout));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(io::Error::other)?;
        let tls = match protocols {
            Protocols::Plain => tls.with_root_certificates(RootCertStore::empty()),
            Protocols::Http1 | Protocols::Http2 => tls.with_native_roots()?,
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.with_no_client_auth()).https_or_http();
        let connector = match protocols {
            Protocols::Plain | Protocols::Http1 => builder.enable_http1().wrap_connector(connector),
            Protocols::Http2 => builder.enable_all_versions().wrap_connector(connector),
        };
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(idle)
            .pool_timer(TokioTimer::new())
            .build(Timely { connector, time: connect_timeout });
        Ok(Self(client))
    }

    /// Sends a request; its answer's body is still to be read. How long that may take is for the caller to say.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        self.0.request(request).await
    }
}

/// Makes a connection within a time: its name looked up and its TLS agreed on.
#[derive(Debug, Clone)]
struct Timely<C> {
    connector: C,
    time: Duration,
}

impl<C> Service<Uri> for Timely<C>
where
    C: Service<Uri, Error = BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connection = tokio::time::timeout(self.time, self.connector.call(uri));
        Box::pin(async { connection.await? })
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connection that a request goes by.
#[derive(Debug)]
pub struct Connection(CaptureConnection);

impl Connection {
    /// That of `request`, which is still to be sent.
    pub fn of<B>(request: &mut Request<B>) -> Self {
        Self(capture_connection(request))
    }

    /// No other request goes by it.
    pub fn leave(&self) {
        if let Some(connection) = self.0.connection_metadata().as_ref() {
            connection.poison();
        }
    }
}

/// Whether there is no answer because a connection was not made in time.
#[must_use]
pub fn is_timeout(error: &Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.into_iter().any(|cause| {
        let is_late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        cause.is::<Elapsed>() || cause.downcast_ref().is_some_and(is_late)
    })
}

/// `text` as a URL that requests can be sent to.
#[must_use]
pub fn url(text: &str) -> Option<Uri> {
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some())?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

/// When to come again, if an answer says so: seconds or a date (RFC 9110 section 10.2.3).
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::now()).ok(),
    }
}
