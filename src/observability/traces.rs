//! Spans: what the steps of a request took and which belong together, for a collector of OpenTelemetry traces.
//!
//! [`Traces::request`] decides whether a request is recorded, and one that is not costs no more than that. One that is has a
//! span, which is *current* for whatever is awaited inside of it ([`Span::around`]) and for the tasks that are started there
//! ([`crate::support::tasks::Tasks`]). [`step`] makes a child of the current span, or nothing where there is none: whoever marks a step
//! knows neither whether anybody records it nor whose step it is.
//!
//! Of a request its method, path, version, status and outcome are told: never its query, where signatures are, and none of its
//! headers. Of what it has sent, where to.
//!
//! This is a low layer, like the numbers: it knows no other part of the program but config, numbers and requests that we send. It
//! alone names OpenTelemetry.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::uri::Scheme;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{
    Link as SpanLink, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
    TracerProvider as _,
};
use opentelemetry::{Context, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{
    IdGenerator as _, RandomIdGenerator, Sampler, SdkTracer, SdkTracerProvider, SpanLimits,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{self, Config};
use crate::observability::metrics;

mod collector;
mod propagation;
mod queue;

pub use collector::OpenError;

use collector::Collector;
use queue::Queue;

/// What is recorded, and where it goes: nothing, unless config names a collector. Clones are the same.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Recorder>>);

struct Recorder {
    tracer: SdkTracer,
    way: Arc<Way>,
    /// Of 2^64 requests without a parent, how many are recorded.
    sample: u128,
    parents: bool,
    scheme: &'static str,
}

/// The way to the collector, which a reload leaves as it is.
struct Way {
    collector: Arc<Collector>,
    sending: TaskTracker,
    stop: CancellationToken,
    patience: Duration,
}

/// What makes a span's children: of all that a context has only those that are recorded have it.
struct Recording(SdkTracer);

/// A span, which ends when it is dropped; or none, whose parts do nothing.
#[derive(Debug)]
pub struct Span(Context);

/// What a span of another trace can be told to have to do with; or nothing.
#[derive(Debug, Clone)]
pub struct Link(Option<SpanContext>);

/// A place among spans, to which other threads can add.
#[derive(Debug)]
pub struct Here(Context);

/// Of a path or URL as much is told: keys are shorter, but paths that name nothing can be longer.
const URL_BYTES_MAX: usize = 2048;

impl Traces {
    /// Starts the task that sends spans, on the runtime that this is called on, if config names a collector. What becomes of
    /// spans is counted in `counts`.
    ///
    /// # Errors
    /// A collector that cannot be sent to.
    pub fn open(config: &Config, counts: metrics::Spans) -> Result<Self, OpenError> {
        let settings = &config.traces;
        if settings.endpoint.is_empty() {
            return Ok(Self::default());
        }
        let collector = Arc::new(Collector::new(settings, counts.clone())?);
        let (waiting, spans) = mpsc::channel(settings.queue.get());
        let (sending, stop) = (TaskTracker::new(), CancellationToken::new());
        sending.spawn(collector.clone().run(spans, stop.clone()));
        // What is recorded has been decided before a span is made. Both are said, or the SDK would ask variables of its own.
        let provider =
            SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_limits(SpanLimits::default());
        let provider = provider.with_span_processor(Queue::new(waiting, counts)).build();
        let scope = InstrumentationScope::builder("resized").with_version(env!("CARGO_PKG_VERSION")).build();
        let way = Way { collector, sending, stop, patience: settings.timeout };
        Ok(Self(Some(Arc::new(Recorder::new(provider.tracer_with_scope(scope), Arc::new(way), config)))))
    }

    /// The same way to the same collector, for what other settings have recorded.
    #[must_use]
    pub fn renewed(&self, config: &Config) -> Self {
        Self(self.0.as_ref().map(|it| Arc::new(Recorder::new(it.tracer.clone(), it.way.clone(), config))))
    }

    /// The span of a request that has come, if it is recorded.
    #[must_use]
    pub fn request<B>(&self, request: &Request<B>) -> Option<Span> {
        let recorder = self.0.as_ref()?;
        recorder.request(request)
    }

    /// The same. Where it is not recorded but came with a parent, whoever is called on its behalf is told of that.
    #[must_use]
    pub fn request_or_parent<B>(&self, request: &Request<B>) -> Span {
        let Some(recorder) = &self.0 else { return Span(Context::new()) };
        recorder.request(request).unwrap_or_else(|| {
            let parent = recorder.parent(request.headers());
            Span(remote(parent.map(|parent| parent.context(request.headers()))))
        })
    }

    /// Whether the collector takes traces: the status of its answer to none of them. `None` if there is no collector.
    pub async fn reach(&self) -> Option<Result<u16, String>> {
        Some(self.0.as_ref()?.way.collector.reach().await)
    }

    /// Sends what has been recorded until now, within `traces.timeout`; what comes after it is lost.
    pub async fn finish(&self) {
        let Some(recorder) = &self.0 else { return };
        let Way { sending, stop, patience, .. } = &*recorder.way;
        stop.cancel();
        sending.close();
        if tokio::time::timeout(*patience, sending.wait()).await.is_err() {
            tracing::warn!("the last spans could not be sent in traces.timeout");
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0.is_some()).finish()
    }
}

impl Recorder {
    fn new(tracer: SdkTracer, way: Arc<Way>, config: &Config) -> Self {
        let config::Traces { sample, parents, .. } = config.traces;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is 0 to 1, which is checked")]
        let sample = (sample * 2.0_f64.powi(64)) as u128;
        let scheme = if config.server.tls.is_on() { "https" } else { "http" };
        Self { tracer, way, sample, parents, scheme }
    }

    fn parent(&self, headers: &HeaderMap) -> Option<propagation::Parent> {
        if self.parents { propagation::read(headers) } else { None }
    }

    fn request<B>(&self, request: &Request<B>) -> Option<Span> {
        let parent = self.parent(request.headers());
        let is_recorded = parent.as_ref().map_or_else(|| self.is_drawn(), |parent| parent.is_sampled);
        is_recorded.then(|| {
            let parent = parent.map(|parent| parent.context(request.headers()));
            self.begin(request.method(), request.uri().path(), request.version(), parent)
        })
    }

    fn is_drawn(&self) -> bool {
        // The generator of ids is one of random numbers, without a lock.
        let random = RandomIdGenerator::default().new_span_id();
        u128::from(u64::from_be_bytes(random.to_bytes())) < self.sample
    }

    fn begin(&self, method: &Method, path: &str, version: Version, parent: Option<SpanContext>) -> Span {
        let method = known(method.as_str());
        let version = match version {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        };
        let attributes = [
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.path", bounded(path)),
            KeyValue::new("url.scheme", self.scheme),
            KeyValue::new("network.protocol.version", version),
        ];
        let name = if method == OTHER { "HTTP" } else { method };
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(attributes);
        let span = self.tracer.build_with_context(span, &remote(parent));
        Span(Context::new().with_value(Recording(self.tracer.clone())).with_span(span))
    }
}

impl Span {
    /// `future`, for which this span is the current one.
    pub fn around<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        future.with_context(self.0.clone())
    }

    /// What links to it.
    #[must_use]
    pub fn link(&self) -> Link {
        Link::to(&self.0)
    }

    /// Says how a request was answered, by what the numbers call it if they do.
    pub fn answered(&self, status: StatusCode, outcome: Option<&'static str>) {
        self.set("http.response.status_code", i64::from(status.as_u16()));
        if let Some(outcome) = outcome {
            self.set("resized.outcome", outcome);
        }
        if status.is_server_error() {
            self.fail(outcome.map_or_else(|| Value::from(status.as_str().to_owned()), Value::from));
        }
    }

    /// Says what URL is called, without its query.
    pub fn url(&self, url: &str) {
        if self.0.span().is_recording() {
            let whole = url.split(['?', '#']).next().unwrap_or_default();
            self.set("url.full", bounded(whole));
        }
    }

    /// Says how a call ended, and whether well, and ends with it. `status` is `None` where no answer came.
    pub fn ended(&self, status: Option<u16>, is_well: bool) {
        if let Some(status) = status {
            self.set("http.response.status_code", i64::from(status));
        }
        if !is_well {
            self.fail(status.map_or_else(|| "no_answer".into(), |status| status.to_string().into()));
        }
        self.0.span().end();
    }

    fn set(&self, name: &'static str, value: impl Into<Value>) {
        self.0.span().set_attribute(KeyValue::new(name, value));
    }

    fn fail(&self, why: Value) {
        self.set("error.type", why);
        self.0.span().set_status(Status::error(""));
    }
}

impl Link {
    fn to(context: &Context) -> Self {
        let span = context.span().span_context().clone();
        Self(span.is_sampled().then_some(span))
    }
}

impl Here {
    /// Adds a step that took `time` until now; `format` is that of the picture which it was about.
    pub fn past(&self, name: &'static str, format: &'static str, time: Duration) {
        let began = SystemTime::now().checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH);
        child(&self.0, || {
            let span = SpanBuilder::from_name(name).with_start_time(began);
            span.with_attributes([KeyValue::new("resized.format", format)])
        });
    }
}

/// The current place, for what is done on other threads.
#[must_use]
pub fn here() -> Here {
    Here(Context::map_current(place))
}

/// A step: a child of the current span.
#[must_use]
pub fn span(name: &'static str) -> Span {
    Context::map_current(|current| child(current, || SpanBuilder::from_name(name)))
}

/// `future` as a step.
pub fn step<F: Future>(name: &'static str, future: F) -> impl Future<Output = F::Output> + use<F> {
    span(name).around(future)
}

/// `future` as the step of waiting for what another request has begun.
pub fn wait<F: Future>(link: &Link, future: F) -> impl Future<Output = F::Output> + use<F> {
    let links = link.0.iter().map(|context| SpanLink::with_context(context.clone())).collect();
    let span = || SpanBuilder::from_name("wait").with_links(links);
    Context::map_current(|current| child(current, span)).around(future)
}

/// What links to the current span.
#[must_use]
pub fn link() -> Link {
    Context::map_current(Link::to)
}

/// The step of a request that is sent: to whom, and not for what.
#[must_use]
pub fn call(name: &'static str, method: &str, url: &str) -> Span {
    let span = || {
        let url: Uri = url.parse().unwrap_or_default();
        let default = if url.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
        let attributes = [
            KeyValue::new("http.request.method", known(method)),
            KeyValue::new("server.address", url.host().unwrap_or_default().to_owned()),
            KeyValue::new("server.port", i64::from(url.port_u16().unwrap_or(default))),
        ];
        SpanBuilder::from_name(name).with_kind(SpanKind::Client).with_attributes(attributes)
    };
    Context::map_current(|current| child(current, span))
}

/// Tells whoever is sent these headers which span is current here (W3C Trace Context).
pub fn inject(headers: &mut HeaderMap) {
    Context::map_current(|current| propagation::write(current.span().span_context(), headers));
}

/// `task`, whose steps belong to what is current here. It may outlive that.
pub fn carry<F: Future>(task: F) -> impl Future<Output = F::Output> + use<F> {
    task.with_context(Context::map_current(place))
}

/// A child of what is current in `context`; where nothing is recorded, as it is.
fn child(context: &Context, span: impl FnOnce() -> SpanBuilder) -> Span {
    match context.get::<Recording>() {
        Some(Recording(tracer)) => Span(context.with_span(tracer.build_with_context(span(), context))),
        None => Span(place(context)),
    }
}

/// The same place, whose span may end meanwhile.
fn place(context: &Context) -> Context {
    let span = context.span().span_context().clone();
    if span.is_valid() { context.with_remote_span_context(span) } else { Context::new() }
}

/// The place of a request that has come: below `parent`, if it named one.
fn remote(parent: Option<SpanContext>) -> Context {
    parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent))
}

/// What methods are called that nobody knows.
const OTHER: &str = "_OTHER";

/// A method, of those that can be counted.
fn known(method: &str) -> &'static str {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"];
    methods.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(URL_BYTES_MAX)].to_owned()
}
