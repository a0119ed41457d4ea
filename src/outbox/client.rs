//! One POST to the API, and what its answer means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};

use super::NotifierError;
use super::signature::Signer;
use crate::observability::{metrics, traces};
use crate::support::error_chain::chain;
use crate::support::https::{self, AGENT, retry_after};

/// A client of one URL.
#[derive(Debug)]
pub(super) struct Client {
    http: https::Client,
    url: Uri,
    signer: Signer,
    timeout: Duration,
    counts: metrics::NotificationMetrics,
}

/// What the API made of a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// 410: it wants no more of them.
    Gone,
    /// Anything else, or no answer.
    Failed { reason: String, retry_after: Option<Duration> },
}

/// As much of an answer is read so that its connection can be used again; a longer one costs the connection.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

impl Client {
    pub(super) fn new(
        url: &str,
        signer: Signer,
        timeout: Duration,
        counts: metrics::NotificationMetrics,
    ) -> Result<Self, NotifierError> {
        let uri = https::url(url).ok_or_else(|| NotifierError::Url { url: url.to_owned() })?;
        let http = https::Client::new(timeout).map_err(NotifierError::Roots)?;
        Ok(Self { http, url: uri, signer, timeout, counts })
    }

    /// Sends `body` under `id`, within the timeout.
    pub(super) async fn post(&self, id: &str, body: Bytes) -> Verdict {
        let failed = |reason: String| Verdict::Failed { reason, retry_after: None };
        let call = traces::client_span("notify", "POST", &self.url.to_string());
        let answer = tokio::time::timeout(self.timeout, call.instrument(self.post_once(id, body))).await;
        let status = answer.as_ref().ok().and_then(|answer| answer.as_ref().ok()).map(|(status, _)| status.as_u16());
        call.finish(status, matches!(answer, Ok(Ok((_, Verdict::Delivered)))));
        self.counts.record_attempt(status);
        match answer {
            Ok(Ok((_, verdict))) => verdict,
            Ok(Err(reason)) => failed(reason),
            Err(_) => failed("the API did not answer within notify.timeout".to_owned()),
        }
    }

    /// Whether the API answers at all: the status of a HEAD, which tells it nothing.
    pub(super) async fn reach(&self) -> Result<u16, String> {
        let request = Request::head(self.url.clone())
            .header(USER_AGENT, AGENT)
            .body(Full::default())
            .map_err(|error| error.to_string())?;
        let answer = tokio::time::timeout(self.timeout, self.http.request(request)).await;
        let answer = answer.map_err(|_| "no answer within notify.timeout".to_owned())?;
        Ok(answer.map_err(|error| chain(&error))?.status().as_u16())
    }

    async fn post_once(&self, id: &str, body: Bytes) -> Result<(StatusCode, Verdict), String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = Request::post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", now)
            .header("webhook-signature", self.signer.sign(id, now, &body))
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        traces::inject(request.headers_mut());
        let response = self.http.request(request).await.map_err(|error| chain(&error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        // The status alone decides; an answer too long or cut off changes nothing.
        let _ = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let verdict = match status {
            status if status.is_success() => Verdict::Delivered,
            StatusCode::GONE => Verdict::Gone,
            status => Verdict::Failed { reason: format!("the API answered {status}"), retry_after },
        };
        Ok((status, verdict))
    }
}
