//! Commands to nodes that run, by their admin listeners. It is the command line's: no server has it, and no request reaches it.

use std::time::Duration;

use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use resized::config::Secret;
use resized::support::https::{self, AGENT};

/// A client of admin listeners that share a token.
#[derive(Debug)]
pub(super) struct Client {
    http: https::Client,
    token: Secret,
}

/// Why a node did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("the system's certificates cannot be read")]
    Roots(#[source] std::io::Error),
    #[error("the URL cannot be used: write it as http://10.0.0.7:8081")]
    Url(#[source] http::Error),
    #[error("it cannot be reached")]
    Http(#[from] https::Error),
    #[error("its answer is cut off or too long")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("it took too long")]
    Time,
}

/// How long an answer may take; nodes give themselves a minute.
const ANSWER_TIME: Duration = Duration::from_secs(65);
/// How long a connection may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

impl Client {
    /// A client that sends `token`, unless it is empty.
    ///
    /// # Errors
    /// The system's certificates cannot be read.
    pub(super) fn new(token: Secret) -> Result<Self, ClientError> {
        Ok(Self { http: https::Client::new(CONNECT_TIME).map_err(ClientError::Roots)?, token })
    }

    /// POSTs nothing to `url`; gives the answer's status and text.
    ///
    /// # Errors
    /// There is no answer.
    pub(super) async fn post(&self, url: &str) -> Result<(StatusCode, String), ClientError> {
        let mut request = Request::post(url).header(USER_AGENT, AGENT);
        if !self.token.is_empty() {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.token.reveal()));
        }
        let request = request.body(Full::default()).map_err(ClientError::Url)?;
        let answer = async {
            let (parts, body) = self.http.request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(ClientError::Body)?;
            Ok((parts.status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
        };
        tokio::time::timeout(ANSWER_TIME, answer).await.map_err(|_| ClientError::Time)?
    }
}
