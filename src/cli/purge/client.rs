//! A client of admin listeners. Only the command line uses it.

use std::time::Duration;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use resized::config::Secret;
use resized::support::https::{self, AGENT};

/// A client for admin listeners with the same token.
#[derive(Debug)]
pub(super) struct Client {
    http: https::Client,
    token: Secret,
}

/// The request to a node failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("cannot read the system's root certificates")]
    Roots(#[source] std::io::Error),
    #[error("the URL is invalid; the format is http://10.0.0.7:8081")]
    Url(#[source] http::Error),
    #[error("cannot connect")]
    Http(#[from] https::Error),
    #[error("the response is incomplete or too long")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the response took too long")]
    Time,
}

/// Timeout of a response. Nodes limit commands to one minute.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(65);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of a response.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

impl Client {
    /// Creates a client that sends `token`, unless it is empty.
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub(super) fn new(token: Secret) -> Result<Self, ClientError> {
        Ok(Self { http: https::Client::new(CONNECT_TIMEOUT).map_err(ClientError::Roots)?, token })
    }

    /// Sends a POST request without a body and returns the status and text of the response.
    ///
    /// # Errors
    /// There is no complete response.
    pub(super) async fn post(&self, url: &str) -> Result<(StatusCode, String), ClientError> {
        let mut request = Request::post(url).header(USER_AGENT, AGENT);
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token.reveal()));
        }
        let request = request.body(Full::default()).map_err(ClientError::Url)?;
        let response = async {
            let (parts, body) = self.http.request(request).await?.into_parts();
            let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await.map_err(ClientError::Body)?;
            Ok((parts.status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        tokio::time::timeout(RESPONSE_TIMEOUT, response).await.map_err(|_| ClientError::Time)?
    }
}
