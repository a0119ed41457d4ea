//! The collector: what waits is sent to it in batches, as OTLP over HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config;
use crate::observability::metrics;
use crate::support::error_chain::chain;
use crate::support::https::{self, AGENT, retry_after};

/// A collector of traces.
pub(super) struct Collector {
    client: https::Client,
    url: Uri,
    headers: HeaderMap,
    timeout: Duration,
    interval: Duration,
    batch_max: usize,
    /// What is said of this program with every batch.
    resource: ResourceAttributesWithSchema,
    counts: metrics::Spans,
}

/// Why nothing can be sent to a collector.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("traces.endpoint: {url:?} is no http or https URL")]
    Url { url: String },
    #[error("traces.endpoint: the system's root certificates cannot be read")]
    Roots(#[source] std::io::Error),
}

/// Why a batch was not taken.
struct Refused {
    reason: String,
    /// How long to wait at least before the same is sent again, if that may help.
    again: Option<Duration>,
}

/// How long to wait before each further try of a batch. Others wait in the queue meanwhile.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// The longest `Retry-After` that is taken at its word.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

impl Collector {
    pub(super) fn new(settings: &config::Traces, counts: metrics::Spans) -> Result<Self, OpenError> {
        let url = https::url(&settings.endpoint);
        // What the operator has in OTEL_RESOURCE_ATTRIBUTES is in it.
        let resource = Resource::builder().with_service_name(settings.service.clone()).with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", Uuid::new_v4().to_string()),
        ]);
        Ok(Self {
            client: https::Client::new(settings.timeout).map_err(OpenError::Roots)?,
            url: url.ok_or_else(|| OpenError::Url { url: settings.endpoint.clone() })?,
            headers: settings.headers().unwrap_or_default(),
            timeout: settings.timeout,
            interval: settings.interval,
            batch_max: settings.batch.get(),
            resource: (&resource.build()).into(),
            counts,
        })
    }

    /// Sends what comes of `spans`, until `stop`; then what is there still.
    pub(super) async fn run(self: Arc<Self>, mut spans: Receiver<SpanData>, stop: CancellationToken) {
        let mut is_well = true;
        loop {
            let batch = self.gather(&mut spans, &stop).await;
            if batch.is_empty() {
                return;
            }
            let (count, sent) = (batch.len() as u64, self.send(batch, &stop).await);
            match &sent {
                Ok(rejected) => {
                    let rejected = (*rejected).min(count);
                    self.counts.sent.inc_by(count - rejected);
                    self.counts.failed.inc_by(rejected);
                    if !is_well {
                        tracing::info!("the collector takes spans again");
                    }
                }
                Err(reason) => {
                    self.counts.failed.inc_by(count);
                    if is_well {
                        tracing::warn!(
                            reason,
                            "the collector takes no spans (traces.endpoint); they are lost until it does"
                        );
                    }
                }
            }
            is_well = sent.is_ok();
        }
    }

    /// The next batch: as much as is sent at once, or what comes within the interval; after `stop`, what is there. It is
    /// empty when nothing more will come.
    async fn gather(&self, spans: &mut Receiver<SpanData>, stop: &CancellationToken) -> Vec<SpanData> {
        let mut batch = Vec::new();
        let filled = async {
            spans.recv_many(&mut batch, self.batch_max).await;
            let rest = async {
                while let room @ 1.. = self.batch_max - batch.len() {
                    if spans.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            // That the time is over is as good as that it is full.
            let _ = tokio::time::timeout(self.interval, rest).await;
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = filled => {}
        }
        if stop.is_cancelled() {
            while batch.len() < self.batch_max {
                let Ok(span) = spans.try_recv() else { break };
                batch.push(span);
            }
        }
        batch
    }

    /// How many of a batch it did not want, or why it took none of them in all tries.
    async fn send(&self, batch: Vec<SpanData>, stop: &CancellationToken) -> Result<u64, String> {
        let body = self.encode(batch);
        let mut pauses = PAUSES.into_iter();
        loop {
            let refused = match self.post(body.clone()).await {
                Ok((_, rejected)) => return Ok(rejected),
                Err(refused) => refused,
            };
            let (Some(least), Some(pause), false) = (refused.again, pauses.next(), stop.is_cancelled()) else {
                return Err(refused.reason);
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause.max(least.min(RETRY_AFTER_MAX))) => {}
            }
        }
    }

    fn encode(&self, batch: Vec<SpanData>) -> Bytes {
        let resource_spans = match batch.is_empty() {
            true => Vec::new(),
            false => group_spans_by_resource_and_scope(batch, &self.resource),
        };
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// The status of its answer to a batch of nothing.
    pub(super) async fn reach(&self) -> Result<u16, String> {
        let answer = self.post(self.encode(Vec::new())).await;
        answer.map(|(status, _)| status.as_u16()).map_err(|refused| refused.reason)
    }

    async fn post(&self, body: Bytes) -> Result<(StatusCode, u64), Refused> {
        let answer = tokio::time::timeout(self.timeout, self.post_once(body)).await;
        let passing = |reason| Refused { reason, again: Some(Duration::ZERO) };
        answer.unwrap_or_else(|_| Err(passing("it did not answer within traces.timeout".to_owned())))
    }

    /// The OTLP specification says which answers mean what.
    async fn post_once(&self, body: Bytes) -> Result<(StatusCode, u64), Refused> {
        let mut request = Request::post(self.url.clone())
            .body(Full::new(body))
            .map_err(|error| Refused { reason: error.to_string(), again: None })?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/x-protobuf"));
        request.headers_mut().insert(USER_AGENT, http::HeaderValue::from_static(AGENT));
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|error| Refused { reason: chain(&error), again: Some(Duration::ZERO) })?;
        let (status, after) = (answer.status(), retry_after(answer.headers()).unwrap_or_default());
        // An answer too long or cut off changes nothing.
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        if !status.is_success() {
            let passing = matches!(status.as_u16(), 429 | 502 | 503 | 504);
            return Err(Refused { reason: format!("it answered {status}"), again: passing.then_some(after) });
        }
        let answer = body.ok().and_then(|body| ExportTraceServiceResponse::decode(body.to_bytes()).ok());
        let partial = answer.and_then(|answer| answer.partial_success).unwrap_or_default();
        Ok((status, u64::try_from(partial.rejected_spans).unwrap_or_default()))
    }
}
