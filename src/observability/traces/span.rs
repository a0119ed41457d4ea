//! Spans, and the current span of a task.

use std::time::{Duration, SystemTime};

use http::uri::Scheme;
use http::{HeaderMap, StatusCode, Uri};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Link, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::SdkTracer;

use super::attributes::{method_name, truncate};
use super::propagation;
use crate::support::url_secrets::mask_text;

/// Context value with the tracer that creates child spans. Only the contexts of recorded requests have it.
struct ChildTracer(SdkTracer);

/// A span, which ends when it is dropped. The span of an unrecorded request does nothing.
#[derive(Debug)]
pub struct Span(Context);

/// A reference to a span of another trace. It is empty if that span is not recorded.
#[derive(Debug, Clone)]
pub struct SpanLink(Option<SpanContext>);

/// A handle to a span, to which other threads can add children.
#[derive(Debug)]
pub struct SpanHandle(Context);

impl Span {
    /// Starts the first span of a request, as a child of the remote span `parent`.
    pub(super) fn root(tracer: &SdkTracer, builder: SpanBuilder, parent: Option<SpanContext>) -> Self {
        let span = tracer.build_with_context(builder, &remote_context(parent));
        Self(Context::new().with_value(ChildTracer(tracer.clone())).with_span(span))
    }

    /// Creates the span of a request that is not recorded. Outgoing requests still propagate `parent`, if there is one.
    pub(super) fn unrecorded(parent: Option<SpanContext>) -> Self {
        Self(remote_context(parent))
    }

    /// Runs `future` with this span as the current one.
    pub fn instrument<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.with_context(self.0.clone())
    }

    /// Returns a link to this span.
    #[must_use]
    pub fn link(&self) -> SpanLink {
        SpanLink::from_context(&self.0)
    }

    /// Records the response to an incoming request. `outcome` is the label value of the request in the metrics, if any.
    pub fn record_response(&self, status: StatusCode, outcome: Option<&'static str>) {
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if let Some(outcome) = outcome {
            self.set("resized.outcome", outcome);
        }
        if status.is_server_error() {
            self.set_error(outcome.map_or_else(|| Value::from(status.as_str().to_owned()), Value::from));
        }
    }

    /// Records the URL of an outgoing request, without its query string and user information.
    pub fn set_url(&self, url: &str) {
        if self.0.span().is_recording() {
            let without_query = url.split(['?', '#']).next().unwrap_or_default();
            self.set("url.full", truncate(&mask_text(without_query)));
        }
    }

    /// Records the response to an outgoing request and ends the span. `status` is `None` if there was no response.
    pub fn finish(&self, status: Option<u16>, is_success: bool) {
        if let Some(status) = status {
            self.set("http.response.status_code", i64::from(status));
        }
        if !is_success {
            self.set_error(status.map_or_else(|| "no_answer".into(), |status| status.to_string().into()));
        }
        self.0.span().end();
    }

    fn set(&self, name: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(name, value));
    }

    fn set_error(&self, error_type: Value) {
        self.set("error.type", error_type);
        self.0.span().set_status(Status::error(""));
    }
}

impl SpanLink {
    /// Returns a link to the current span.
    #[must_use]
    pub fn current() -> Self {
        Context::map_current(Self::from_context)
    }

    fn from_context(context: &Context) -> Self {
        let span = context.span().span_context().clone();
        Self(span.is_sampled().then_some(span))
    }
}

impl SpanHandle {
    /// Returns a handle to the current span.
    #[must_use]
    pub fn current() -> Self {
        Self(Context::map_current(detached))
    }

    /// Adds a child span that took `time` and ended now. `format` is the image format that the step read or wrote.
    pub fn record_completed(&self, name: &'static str, format: &'static str, time: Duration) {
        let start = SystemTime::now().checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH);
        start_child(&self.0, || {
            let builder = SpanBuilder::from_name(name).with_start_time(start);
            builder.with_attributes([KeyValue::new("resized.format", format)])
        });
    }
}

/// Starts a child of the current span.
#[must_use]
pub fn child_span(name: &'static str) -> Span {
    Context::map_current(|current| start_child(current, || SpanBuilder::from_name(name)))
}

/// Runs `future` in a child of the current span.
pub fn in_span<F: Future>(name: &'static str, future: F) -> impl Future<Output = F::Output> + use<F> {
    child_span(name).instrument(future)
}

/// Runs `future` in a span named `wait` with a link to the span that it waits for, which belongs to another request.
pub fn wait_span<F: Future>(link: &SpanLink, future: F) -> impl Future<Output = F::Output> + use<F> {
    let links = link.0.iter().map(|context| Link::with_context(context.clone())).collect();
    let builder = || SpanBuilder::from_name("wait").with_links(links);
    Context::map_current(|current| start_child(current, builder)).instrument(future)
}

/// Starts the span of an outgoing request. It records the host and port of `url`, but not its path, which may be secret.
#[must_use]
pub fn client_span(name: &'static str, method: &str, url: &str) -> Span {
    let builder = || {
        let url: Uri = url.parse().unwrap_or_default();
        let default_port = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let attributes = [
            KeyValue::new("http.request.method", method_name(method)),
            KeyValue::new("server.address", url.host().unwrap_or_default().to_owned()),
            KeyValue::new("server.port", i64::from(url.port_u16().unwrap_or(default_port))),
        ];
        SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(attributes)
    };
    Context::map_current(|current| start_child(current, builder))
}

/// Adds the headers of W3C Trace Context for the current span to an outgoing request.
pub fn inject(headers: &mut HeaderMap) {
    Context::map_current(|current| propagation::write(current.span().span_context(), headers));
}

/// Wraps `task` so that its spans become children of the current span, even if that span ends before the task does.
pub fn with_current_context<F: Future>(task: F) -> impl Future<Output = F::Output> + use<F> {
    task.with_context(Context::map_current(detached))
}

/// Starts a child of the span of `context`. The child does nothing if the request is not recorded.
fn start_child(context: &Context, builder: impl FnOnce() -> SpanBuilder) -> Span {
    match context.get::<ChildTracer>() {
        Some(ChildTracer(tracer)) => Span(context.with_span(tracer.build_with_context(builder(), context))),
        None => Span(detached(context)),
    }
}

/// Returns a context that refers to the span of `context` without keeping it open.
fn detached(context: &Context) -> Context {
    let span = context.span().span_context().clone();
    if span.is_valid() { context.with_remote_span_context(span) } else { Context::new() }
}

/// Returns a context whose current span is the remote span `parent`.
fn remote_context(parent: Option<SpanContext>) -> Context {
    parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent))
}
