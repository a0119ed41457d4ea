//! The HTTP client of all requests that this program sends: to S3, to the notification API, to the trace collector and, from the
//! command line, to other nodes.
//!
//! It does not follow redirects: requests carry credentials that are meant for the configured host only.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
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

/// A client with a connection pool. Clones share the pool.
#[derive(Debug, Clone)]
pub struct Client(legacy::Client<TimeoutConnector<HttpsConnector<HttpConnector>>, Full<Bytes>>);

/// The protocols that a client supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocols {
    /// HTTP/1.1 without TLS. No root certificates are loaded.
    Plain,
    /// HTTP/1.1 with or without TLS. Every response has a connection to itself, so a body that is read slowly delays no
    /// other, as it would in the window of an HTTP/2 connection.
    Http1,
}

/// Value of the `User-Agent` header.
pub const AGENT: &str = concat!("resized/", env!("CARGO_PKG_VERSION"));

/// Bytes of a response that a connection reads ahead.
const READ_BUFFER_BYTES: usize = 64 << 10;

/// Idle connections are closed after this time.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Limits of the header of a response, for stores whose objects have many or long entries of metadata.
const HEADERS_MAX: usize = 256;
const HEADER_BYTES_MAX: u32 = 64 << 10;

impl Client {
    /// A client for HTTP/1.1 whose connections must be established within `connect_timeout`.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub fn new(connect_timeout: Duration) -> io::Result<Self> {
        Self::with_options(connect_timeout, POOL_IDLE, Protocols::Http1)
    }

    /// Like [`Client::new`], with a choice of protocols; idle connections are closed after `pool_idle`.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub fn with_options(connect_timeout: Duration, pool_idle: Duration, protocols: Protocols) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        // This time is shared by all addresses of a host.
        connector.set_connect_timeout(Some(connect_timeout));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(io::Error::other)?;
        let tls = match protocols {
            Protocols::Plain => tls.with_root_certificates(RootCertStore::empty()),
            Protocols::Http1 => tls.with_native_roots()?,
        };
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls.with_no_client_auth()).https_or_http();
        let connector = builder.enable_http1().wrap_connector(connector);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(pool_idle)
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(READ_BUFFER_BYTES)
            .http1_max_headers(HEADERS_MAX)
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .build(TimeoutConnector { connector, timeout: connect_timeout });
        Ok(Self(client))
    }

    /// Sends a request and returns the response once its header has arrived. The caller limits the time for the header
    /// and for reading the body.
    ///
    /// # Errors
    /// There is no response.
    pub async fn request(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Error> {
        self.0.request(request).await
    }
}

/// Limits the time to establish a connection, including the DNS lookup and the TLS handshake.
#[derive(Debug, Clone)]
struct TimeoutConnector<C> {
    connector: C,
    timeout: Duration,
}

impl<C> Service<Uri> for TimeoutConnector<C>
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
        let connection = tokio::time::timeout(self.timeout, self.connector.call(uri));
        Box::pin(async { connection.await? })
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The connection that carries a request.
#[derive(Debug)]
pub struct ConnectionHandle(CaptureConnection);

impl ConnectionHandle {
    /// The connection that `request` will be sent on.
    pub fn capture<B>(request: &mut Request<B>) -> Self {
        Self(capture_connection(request))
    }

    /// Keeps the pool from using the connection for another request.
    pub fn retire(&self) {
        if let Some(connection) = self.0.connection_metadata().as_ref() {
            connection.poison();
        }
    }
}

/// True if a request failed because its connection was not established in time.
#[must_use]
pub fn is_timeout(error: &Error) -> bool {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.into_iter().any(|cause| {
        let is_timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        cause.is::<Elapsed>() || cause.downcast_ref().is_some_and(is_timed_out)
    })
}

/// Parses an absolute `http` or `https` URL.
#[must_use]
pub fn parse_url(text: &str) -> Option<Uri> {
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some())?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

/// True if a URL contains a user name or a password.
#[must_use]
pub fn has_user_info(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

/// The pause that a response asks for: seconds or a date (RFC 9110 section 10.2.3). The date is read by the clock of
/// the server that sent it.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let theirs = headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    httpdate::parse_http_date(text).ok()?.duration_since(theirs.unwrap_or_else(SystemTime::now)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_to_retry_after_is_relative_to_the_date_of_the_response() {
        let pause = |headers: &[(http::HeaderName, &str)]| {
            let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            retry_after(&headers.collect())
        };
        let at = "Sun, 06 Nov 1994 08:50:37 GMT";
        assert_eq!(pause(&[(RETRY_AFTER, " 120 ")]), Some(Duration::from_secs(120)));
        let date = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(pause(&[(RETRY_AFTER, at), date.clone()]), Some(Duration::from_secs(60)));
        assert_eq!(pause(&[(RETRY_AFTER, at)]), None, "the time has passed");
        assert_eq!(pause(&[(RETRY_AFTER, "soon"), date]), None);
    }
}
