//! Requests that this program sends: over HTTP or HTTPS, to what config or the command line names and to nothing else.
//!
//! No redirect is followed: what was meant for one address is not for another. What is in S3 is reached by its SDK, not by this.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

pub use hyper_util::client::legacy::Error;

/// A client, with its own connections. Clones share them.
#[derive(Debug, Clone)]
pub struct Client(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

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
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_timeout));
        connector.enforce_http(false);
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
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

/// `text` as a URL that requests can be sent to.
#[must_use]
pub fn url(text: &str) -> Option<Uri> {
    let uri = text.parse::<Uri>().ok().filter(|uri| uri.host().is_some())?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

/// An error with its causes: of a client's, the first says little.
#[must_use]
pub fn reason(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
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
