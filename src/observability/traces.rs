//! Spans for the steps of a request, exported to an OpenTelemetry collector.
//!
//! [`Traces::request_span`] decides if a request is recorded; an unrecorded request has no further cost. The span of a
//! recorded request is *current* for all futures awaited inside it ([`Span::instrument`]) and for the tasks started
//! there ([`crate::support::tasks::Tasks`]). [`in_span`] starts a child of the current span, or does nothing if there
//! is none. The code of a step therefore needs no reference to its request, and does not depend on the sampling
//! decision.
//!
//! The span of a request contains its method, path, version, status and outcome, but no headers and no query string, because
//! query strings contain signatures. The span of an outgoing request contains its address.
//!
//! This is a low layer: it uses only config, metrics and the HTTP client. It is the only module that uses OpenTelemetry.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method, Request, Version};
use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind, TracerProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider, SpanLimits,
};
use tokio::sync::mpsc;

use crate::config::{self, Config, SpanExport};
use crate::observability::metrics::SpanMetrics;

mod attributes;
mod collector;
mod exporter;
mod propagation;
mod queue;
mod span;

pub use collector::CollectorError;
pub use span::{Span, SpanHandle, SpanLink, child_span, client_span, in_span, inject, wait_span, with_current_context};

use attributes::{OTHER_METHOD, method_name, truncate};
use collector::CollectorClient;
use exporter::Exporter;
use propagation::TraceParent;
use queue::SpanQueue;

/// Records the spans of requests. Records nothing unless `traces.endpoint` is set. Clones share the exporter.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Recorder>>);

struct Recorder {
    tracer: SdkTracer,
    /// Unchanged by a reload.
    exporter: Arc<Exporter>,
    /// Share of requests without a parent span that are recorded, as a multiple of 2^-64.
    sample: u128,
    /// True if requests continue the trace of their `traceparent` header.
    trust_traceparent: bool,
    scheme: &'static str,
}

impl Traces {
    /// Starts the export task on the current runtime, if config names a collector.
    ///
    /// # Errors
    /// The settings of the collector cannot be used.
    pub fn new(config: &Config, tuning: &SpanExport, metrics: SpanMetrics) -> Result<Self, CollectorError> {
        let settings = &config.traces;
        if settings.endpoint.is_empty() {
            return Ok(Self::default());
        }
        let client = CollectorClient::new(settings, tuning.timeout)?;
        let (sender, spans) = mpsc::channel(tuning.queue_length);
        let exporter = Exporter::start(tuning, client, spans, metrics.clone());
        // Sampling is decided before a span is created. The sampler and limits are set explicitly, or else the SDK would read
        // them from OTEL_ environment variables.
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_span_limits(SpanLimits::default())
            .with_span_processor(SpanQueue::new(sender, metrics))
            .build();
        let scope = InstrumentationScope::builder("resized").with_version(env!("CARGO_PKG_VERSION")).build();
        let recorder = Recorder::new(provider.tracer_with_scope(scope), Arc::new(exporter), config);
        Ok(Self(Some(Arc::new(recorder))))
    }

    /// Returns a recorder with the sampling settings of `config` that shares the exporter of this one.
    #[must_use]
    pub fn with_config(&self, config: &Config) -> Self {
        let recorder = |old: &Arc<Recorder>| Arc::new(Recorder::new(old.tracer.clone(), old.exporter.clone(), config));
        Self(self.0.as_ref().map(recorder))
    }

    /// Starts the span of an incoming request, if the request is recorded.
    #[must_use]
    pub fn request_span<B>(&self, request: &Request<B>) -> Option<Span> {
        self.0.as_ref()?.request_span(request)
    }

    /// Starts the span of an incoming request. If the request is not recorded but has a `traceparent` header, the
    /// outgoing requests made for it forward that header.
    #[must_use]
    pub fn request_span_or_parent<B>(&self, request: &Request<B>) -> Span {
        let Some(recorder) = &self.0 else { return Span::unrecorded(None) };
        recorder.request_span(request).unwrap_or_else(|| {
            let parent = recorder.parent(request.headers());
            Span::unrecorded(parent.map(|parent| parent.context(request.headers())))
        })
    }

    /// Sends an empty batch to the collector and returns the status of its response, or `None` if there is no collector.
    pub async fn probe_collector(&self) -> Option<Result<u16, String>> {
        Some(self.0.as_ref()?.exporter.probe().await)
    }

    /// Sends the spans recorded so far, within the export timeout. Spans recorded later are lost.
    pub async fn shutdown(&self) {
        if let Some(recorder) = &self.0 {
            recorder.exporter.shutdown().await;
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.is_some()).finish()
    }
}

impl Recorder {
    fn new(tracer: SdkTracer, exporter: Arc<Exporter>, config: &Config) -> Self {
        let config::Traces { sample, trust_traceparent, .. } = config.traces;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "config checks that it is 0 to 1")]
        let sample = (sample * 2.0_f64.powi(64)) as u128;
        let scheme = if config.server.tls.is_on() { "https" } else { "http" };
        Self { tracer, exporter, sample, trust_traceparent, scheme }
    }

    fn parent(&self, headers: &HeaderMap) -> Option<TraceParent> {
        if self.trust_traceparent { propagation::read(headers) } else { None }
    }

    fn request_span<B>(&self, request: &Request<B>) -> Option<Span> {
        let parent = self.parent(request.headers());
        let is_recorded = parent.as_ref().map_or_else(|| self.is_sampled(), |parent| parent.is_sampled);
        is_recorded.then(|| {
            let parent = parent.map(|parent| parent.context(request.headers()));
            self.start_span(request.method(), request.uri().path(), request.version(), parent)
        })
    }

    /// Decides at random if a request without a parent span is recorded.
    fn is_sampled(&self) -> bool {
        // The id generator of the SDK is a random number generator without a lock.
        let random = RandomIdGenerator::default().new_span_id();
        u128::from(u64::from_be_bytes(random.to_bytes())) < self.sample
    }

    fn start_span(&self, method: &Method, path: &str, version: Version, parent: Option<SpanContext>) -> Span {
        let method = method_name(method.as_str());
        let version = match version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.path", truncate(path)),
            KeyValue::new("url.scheme", self.scheme),
            KeyValue::new("network.protocol.version", version),
        ];
        let name = if method == OTHER_METHOD { "HTTP" } else { method };
        let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
        Span::root(&self.tracer, builder, parent)
    }
}
