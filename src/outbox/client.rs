//! HTTP client of the API: sends one notification and interprets the response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};

use super::signature::{WebhookSecretError, WebhookSigner};
use crate::config;
use crate::observability::metrics::NotificationMetrics;
use crate::observability::traces;
use crate::support::error_chain::chain;
use crate::support::https::{self, AGENT, retry_after};
use crate::support::url_secrets::mask_url;

/// Sends signed notifications to `notify.url`.
#[derive(Debug)]
pub(super) struct WebhookClient {
    http: https::Client,
    url: Uri,
    signer: WebhookSigner,
    timeout: Duration,
    metrics: NotificationMetrics,
}

/// Reasons why the `notify` settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotifierError {
    #[error("notify.url: {url:?} is not an http or https URL")]
    Url { url: String },
    #[error("notify.secret")]
    Secret(#[from] WebhookSecretError),
    #[error("notify.url: the system's root certificates cannot be read")]
    Roots(#[source] std::io::Error),
}

/// Result of one delivery attempt.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The API answered 2xx.
    Accepted,
    /// The API answered 410: it wants no more notifications.
    Gone,
    /// The API answered with another status, or did not answer.
    Failed {
        error: DeliveryError,
        /// `Retry-After` of the response, at most [`RETRY_AFTER_MAX`].
        retry_after: Option<Duration>,
    },
}

/// Reasons why a notification was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("no response within notify.timeout")]
    Timeout,
    #[error("response status {0}")]
    Status(StatusCode),
    #[error("{0}")]
    Request(String),
}

/// Longest `Retry-After` that is honored.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// Response bodies up to this length are read, so that the connection can be reused. A longer body closes it.
const RESPONSE_BYTES_MAX: usize = 16 * 1024;

impl WebhookClient {
    pub(super) fn new(settings: &config::Notify, metrics: NotificationMetrics) -> Result<Self, NotifierError> {
        let signer = WebhookSigner::new(settings)?;
        let url = https::parse_url(&settings.url)
            .ok_or_else(|| NotifierError::Url { url: mask_url(&settings.url).into_owned() })?;
        let http = https::Client::new(settings.timeout).map_err(NotifierError::Roots)?;
        Ok(Self { http, url, signer, timeout: settings.timeout, metrics })
    }

    /// Sends `body` with the id `id` and the timestamp `now`, in seconds since 1970, within the timeout.
    pub(super) async fn post(&self, id: &str, now: u64, body: Bytes) -> Delivery {
        let span = traces::client_span("notify", "POST", &self.url.to_string());
        let response = tokio::time::timeout(self.timeout, span.instrument(self.post_untimed(id, now, body))).await;
        let response = response.unwrap_or(Err(DeliveryError::Timeout));
        let status = response.as_ref().ok().map(|(status, _)| *status);
        let status_code = status.map(|status| status.as_u16());
        span.finish(status_code, status.is_some_and(|status| status.is_success()));
        self.metrics.record_attempt(status_code);
        match response {
            Ok((status, _)) if status.is_success() => Delivery::Accepted,
            Ok((StatusCode::GONE, _)) => Delivery::Gone,
            Ok((status, retry_after)) => Delivery::Failed { error: DeliveryError::Status(status), retry_after },
            Err(error) => Delivery::Failed { error, retry_after: None },
        }
    }

    /// Sends a HEAD request, which delivers nothing, and returns the status of the response.
    pub(super) async fn probe(&self) -> Result<StatusCode, DeliveryError> {
        let request = Request::head(self.url.clone())
            .header(USER_AGENT, AGENT)
            .body(Full::default())
            .map_err(|error| DeliveryError::Request(error.to_string()))?;
        let response = tokio::time::timeout(self.timeout, self.http.request(request)).await;
        let response = response.map_err(|_| DeliveryError::Timeout)?;
        Ok(response.map_err(|error| DeliveryError::Request(chain(&error)))?.status())
    }

    /// Returns the status and `Retry-After` of the response.
    async fn post_untimed(
        &self,
        id: &str,
        now: u64,
        body: Bytes,
    ) -> Result<(StatusCode, Option<Duration>), DeliveryError> {
        let mut request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", self.signer.sign(id, now, &body))
            .body(Full::new(body))
            .map_err(|error| DeliveryError::Request(error.to_string()))?;
        traces::inject(request.headers_mut());
        let response = self.http.request(request).await.map_err(|error| DeliveryError::Request(chain(&error)))?;
        let status = response.status();
        let retry_after = retry_after(response.headers()).map(|pause| pause.min(RETRY_AFTER_MAX));
        // Only the status counts; a body that is too long or incomplete is ignored.
        let _ = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
        Ok((status, retry_after))
    }
}
