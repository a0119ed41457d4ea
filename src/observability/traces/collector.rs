//! Client of the trace collector: OTLP over HTTP with protobuf bodies.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use uuid::Uuid;

use crate::config;
use crate::support::error_chain::chain;
use crate::support::https::{self, AGENT, retry_after};
use crate::support::url_secrets::mask_url;

/// Sends batches of spans to a collector.
pub(super) struct CollectorClient {
    http: https::Client,
    url: Uri,
    headers: HeaderMap,
    timeout: Duration,
    /// Attributes that describe this process, sent with each batch.
    resource: ResourceAttributesWithSchema,
}

/// Reasons why the collector settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("traces.endpoint: {url:?} is not an http or https URL")]
    Url { url: String },
    #[error("traces.endpoint: the system's root certificates cannot be read")]
    Roots(#[source] std::io::Error),
}

/// A batch that the collector accepted.
pub(super) struct Accepted {
    pub(super) status: StatusCode,
    /// Spans of the batch that the collector rejected.
    pub(super) rejected_spans: u64,
}

/// Failure to export a batch.
#[derive(Debug)]
pub(super) struct ExportError {
    reason: String,
    /// Minimum pause before a retry, or `None` if a retry cannot succeed.
    pub(super) retry_after: Option<Duration>,
}

/// Longest response body that is read.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;

impl CollectorClient {
    pub(super) fn new(settings: &config::Traces, timeout: Duration) -> Result<Self, CollectorError> {
        let url = https::parse_url(&settings.endpoint);
        // The builder also reads OTEL_RESOURCE_ATTRIBUTES.
        let resource = Resource::builder().with_service_name(settings.service.clone()).with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ]);
        Ok(Self {
            http: https::Client::new(timeout).map_err(CollectorError::Roots)?,
            url: url.ok_or_else(|| CollectorError::Url { url: mask_url(&settings.endpoint).into_owned() })?,
            headers: settings.headers().unwrap_or_default(),
            timeout,
            resource: (&resource.build()).into(),
        })
    }

    /// Encodes a batch as the body of an OTLP request.
    pub(super) fn encode(&self, batch: Vec<SpanData>) -> Bytes {
        let resource_spans = match batch.is_empty() {
            true => Vec::new(),
            false => group_spans_by_resource_and_scope(batch, &self.resource),
        };
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// Sends a batch once.
    pub(super) async fn export(&self, batch: Vec<SpanData>) -> Result<Accepted, ExportError> {
        self.post(self.encode(batch)).await
    }

    /// Sends an encoded batch once, within the timeout.
    pub(super) async fn post(&self, body: Bytes) -> Result<Accepted, ExportError> {
        let response = tokio::time::timeout(self.timeout, self.post_untimed(body)).await;
        response.unwrap_or_else(|_| Err(ExportError::temporary(format!("no response within {:?}", self.timeout))))
    }

    async fn post_untimed(&self, body: Bytes) -> Result<Accepted, ExportError> {
        let mut request = Request::post(self.url.clone())
            .body(Full::new(body))
            .map_err(|error| ExportError { reason: error.to_string(), retry_after: None })?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let response = self.http.request(request).await.map_err(|error| ExportError::temporary(chain(&error)))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()).unwrap_or_default());
        // The status decides; a body that is too long or incomplete is ignored.
        let body = Limited::new(response.into_body(), RESPONSE_BYTES_MAX).collect().await;
        if !status.is_success() {
            // The OTLP specification names these statuses as retryable.
            let is_retryable = matches!(status.as_u16(), 429 | 502 | 503 | 504);
            let retry_after = is_retryable.then_some(retry_after);
            return Err(ExportError { reason: format!("response status {status}"), retry_after });
        }
        let response = body.ok().and_then(|body| ExportTraceServiceResponse::decode(body.to_bytes()).ok());
        let partial = response.and_then(|response| response.partial_success).unwrap_or_default();
        Ok(Accepted { status, rejected_spans: u64::try_from(partial.rejected_spans).unwrap_or_default() })
    }
}

impl ExportError {
    fn temporary(reason: String) -> Self {
        Self { reason, retry_after: Some(Duration::ZERO) }
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
