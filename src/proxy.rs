//! The story of a request.
//!
//! A path names a variant or an original. A variant is answered from memory, from its store, or it is made: once, however
//! many ask. An original streams through. What fails becomes a status. This is where the parts meet that know nothing of
//! one another: [`crate::cache`], [`crate::origin`] and [`crate::resize`].

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{FutureExt, TryStreamExt};
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, ORIGIN,
    VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full, StreamBody};
use tokio_util::sync::CancellationToken;

use crate::cache::{Cache, Source};
use crate::config::{Config, Mode, Overload, Require, Serve};
use crate::metrics::{Counter, Metrics, Outcome, Reading};
use crate::notify::Notifier;
use crate::origin::{ByteRange, Meta, Object, Store, StoreError};
use crate::tasks::Tasks;
use crate::upload::{Uploads, Written};
use crate::variant::{
    Addressed, Allowance, Format, Grammar, GrammarError, Hint, Named, ObjectKey, Signature, Signer, Variant,
};

mod batch;
mod budget;
mod conditional;
mod events;
mod explain;
mod framing;
mod lease;
mod maker;
mod negotiate;
mod original;
mod policy;
mod probe;
mod problem;
mod purge;
mod purges;
mod rates;
mod readings;
mod rendition;
mod trial;
mod signed;
mod write_back;

use conditional::{Wanted, content_range, wanted};
pub use events::{Notified, NotifyError};
pub use explain::{ExplainedVariant, Explanation, Seen};
use maker::{Maker, Works};
use negotiate::negotiate;
use original::Sight;
use policy::Policy;
use problem::{ALLOWED, Failure, chain};
pub use purge::PurgeError;
use purges::Purges;
use rates::Limited;
use readings::Readings;
use rendition::{Answer, Rendition};

/// An answer's body: bytes from memory, or a stream from a store.
pub type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, StoreError>>;

/// The proxy: everything between a request and its answer.
#[derive(Debug)]
pub struct Proxy {
    grammar: Grammar,
    readings: Readings,
    renditions: Cache<Variant, Answer>,
    sights: Cache<ObjectKey, Sight>,
    maker: Arc<Maker>,
    originals: Store,
    variants: Store,
    purges: Arc<Purges>,
    policy: Arc<Policy>,
    signer: Option<Signer>,
    require: Require,
    offers: Vec<Format>,
    side_max: u16,
    serve: Serve,
    mode: Mode,
    overload: Overload,
    remembered: Duration,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    uploads: Option<Uploads>,
    notifier: Option<Notifier>,
}

/// What one proxy hands on to the next, whose settings are others.
struct Kept {
    renditions: Cache<Variant, Answer>,
    sights: Cache<ObjectKey, Sight>,
    works: Works,
    originals: Store,
    variants: Store,
    purges: Arc<Purges>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    notifier: Option<Notifier>,
}

/// An answer, and what the log and the numbers say of it.
#[derive(Debug)]
pub struct Answered {
    pub response: Response<Body>,
    pub outcome: Outcome,
    /// From the request's header to the answer's.
    pub elapsed: Duration,
}

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    #[error("{key}: the store cannot be opened")]
    Store { key: &'static str, source: crate::origin::OpenError },
    #[error("{key}: cannot stand in a header, or is set by the proxy itself")]
    Header { key: &'static str },
    #[error(transparent)]
    Notify(#[from] crate::notify::OpenError),
    #[error(transparent)]
    Template(#[from] crate::upload::TemplateError),
    #[error("the resize threads cannot be started")]
    Threads(#[source] std::io::Error),
}

/// How many flights of clients over their rate one that is not gets to see.
const FLIGHTS_OF_OTHERS: usize = 8;

/// What first looks at originals may occupy in memory.
const SIGHTS_BYTES: u64 = 4 << 20;

impl Proxy {
    /// Opens the stores and starts the resize threads. Flights and write-backs run on `tasks`; all is counted in `metrics`.
    ///
    /// # Errors
    /// A setting that cannot be used, or a store that cannot be opened, with the key in config.
    pub async fn open(config: &Config, tasks: Tasks, metrics: Arc<Metrics>) -> Result<Self, OpenError> {
        let open = async |key, text: &str, public_url: &str| {
            let store = Store::open(text, public_url, &config.s3, &metrics.s3).await;
            store.map_err(|source| OpenError::Store { key, source })
        };
        let originals = open("originals.store", &config.originals.store, &config.originals.public_url).await?;
        let variants = open("variants.store", &config.variants.store, &config.variants.public_url).await?;
        let purges = Arc::new(Purges::default());
        let works = Works::start(config, &variants, &tasks, &purges, &metrics)?;
        works.watch(&metrics);
        watch_stores(&originals, &variants, &metrics);
        let notifier = match (config.notify.url.as_str(), config.notify.outbox.as_str()) {
            ("", _) => None,
            (_, "") => Some(Notifier::open(&config.notify, variants.clone(), &metrics, tasks.clone())?),
            (_, outbox) => {
                let outbox = open("notify.outbox", outbox, "").await?;
                Some(Notifier::open(&config.notify, outbox, &metrics, tasks.clone())?)
            }
        };
        let flights = config.work.flights.get();
        let renditions = Cache::new(config.cache.memory.as_u64(), flights, tasks.clone(), metrics.evictions.clone());
        let sights = Cache::new(SIGHTS_BYTES, flights, tasks.clone(), Counter::default());
        watch(&renditions, &metrics);
        watch_limits(config, &metrics);
        let kept = Kept { renditions, sights, works, originals, variants, purges, tasks, metrics, notifier };
        Self::with(config, kept)
    }

    /// The same proxy with other settings: it has the same memory, stores, flights and threads, whose own settings stay as
    /// they are. Requests that the former one has begun to answer are answered by it.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn renewed(&self, config: &Config) -> Result<Self, OpenError> {
        let kept = Kept {
            renditions: self.renditions.clone(),
            sights: self.sights.clone(),
            works: self.maker.works(),
            originals: self.originals.clone(),
            variants: self.variants.clone(),
            purges: self.purges.clone(),
            tasks: self.tasks.clone(),
            metrics: self.metrics.clone(),
            notifier: self.notifier.clone(),
        };
        Self::with(config, kept)
    }

    /// Everything that is made of settings alone.
    fn with(config: &Config, kept: Kept) -> Result<Self, OpenError> {
        let Kept { renditions, sights, works, originals, variants, purges, tasks, metrics, notifier } = kept;
        let grammar = Grammar::new(config)?;
        let policy = Arc::new(Policy::new(config)?);
        let (o, v, p) = (originals.clone(), variants.clone(), purges.clone());
        let maker = Arc::new(Maker::new(config, works, o, v, policy.clone(), tasks.clone(), p));
        let (g, o, n) = (grammar.clone(), originals.clone(), notifier.clone());
        let uploads = Uploads::open(config, g, o, n, metrics.uploads.clone(), tasks.clone())?;
        Ok(Self {
            renditions,
            sights,
            maker,
            offers: grammar.negotiated().to_vec(),
            side_max: config.limits.max_side.get(),
            signer: Signer::new(&config.signing),
            require: config.signing.require,
            serve: config.originals.serve,
            mode: config.answers.mode,
            overload: config.work.overload,
            remembered: config.cache.failures,
            readings: Readings::default(),
            grammar,
            originals,
            variants,
            purges,
            policy,
            tasks,
            metrics,
            uploads,
            notifier,
        })
    }

    /// Answers a request of `client`; its body is not read.
    pub async fn answer<B>(&self, client: IpAddr, request: &Request<B>) -> Answered {
        let start = Instant::now();
        let method = request.method();
        let (answer, outcome) = match self.route(client, request).await {
            Ok(answer) => answer,
            Err(failure) => (self.problem(&failure), failure.outcome()),
        };
        let response = if *method == Method::HEAD { answer.map(|_| empty()) } else { answer };
        let elapsed = start.elapsed();
        self.metrics.answers.record(outcome, elapsed);
        Answered { response, outcome, elapsed }
    }

    /// Whether a request is an upload. Where they are not enabled none is.
    #[must_use]
    pub fn takes_upload(&self, method: &Method, path: &str) -> bool {
        self.uploads.is_some() && Uploads::takes(method, path)
    }

    /// Answers an upload of `client`. What is remembered of the original's key is forgotten before anybody hears of it.
    pub async fn upload<B>(self: &Arc<Self>, client: IpAddr, request: Request<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let Some(uploads) = &self.uploads else { return self.problem(&Failure::Method) };
        if let Err(failure) = framing::check(&request).and_then(|()| self.maker.rates.ask(client)) {
            return self.problem(&failure);
        }
        let this = self.clone();
        let on_write = move |key: ObjectKey, written| {
            let this = this.clone();
            async move {
                match written {
                    Written::Anew => this.forget(&key),
                    Written::Over => this.replaced(&key).await,
                }
            }
            .boxed()
        };
        uploads.answer(client, request, Box::new(on_write)).await.map(Either::Left)
    }

    /// The purge of an original that was replaced. Where the variants' store fails, those there are found stale by their
    /// original's ETag when it is next looked at.
    async fn replaced(&self, key: &ObjectKey) {
        for last in [false, false, true] {
            match self.purge(key).await {
                Ok(_) => return,
                Err(error) if last => {
                    tracing::error!(original = %key, error = problem::chain(&error), "old variants are still stored; purge it");
                }
                Err(_) => {}
            }
        }
    }

    /// The way to the API that hears of uploads, if there is one.
    #[must_use]
    pub fn notifier(&self) -> Option<&Notifier> {
        self.notifier.as_ref()
    }

    /// Delivers what waits in the outbox, until `stop`; it returns at once if no API is to hear of uploads.
    pub async fn notify(&self, stop: CancellationToken) {
        if let Some(notifier) = &self.notifier {
            notifier.sweep(stop).await;
        }
    }

    async fn route<B>(&self, client: IpAddr, request: &Request<B>) -> Result<(Response<Body>, Outcome), Failure> {
        framing::check(request)?;
        self.maker.rates.ask(client)?;
        let (method, uri, request) = (request.method(), request.uri(), request.headers());
        match *method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok((self.options(request), Outcome::Options)),
            _ => return Err(Failure::Method),
        }
        let named = self.readings.parse(&self.grammar, uri.path());
        let named = named.map_err(|error| Failure::BadPath(error.to_string().into()))?;
        let signature = self.signature(&named, uri.query())?;
        let (mut response, outcome) = match (&*named, signature) {
            (Named::Variant(addressed), Signature::None) => match &addressed.allowance {
                Allowance::Allowed => self.variant(method, addressed, (client, request)).await?,
                Allowance::Snapped(to) => (self.snapped(to, uri.query())?, Outcome::Snapped),
                Allowance::Refused(nearest) => return Err(self.refused(nearest)),
            },
            (Named::Variant(addressed), Signature::Valid { .. }) => {
                self.variant(method, addressed, (client, request)).await?
            }
            (Named::Object(key, hint), _) => {
                let original = self.original(method, key, request).await.map_err(|f| self.hinted(f, *hint))?;
                (original, Outcome::Original)
            }
        };
        if let Signature::Valid { expires: Some(expires) } = signature {
            signed::bound(&mut response, expires);
        }
        Ok((response, outcome))
    }

    /// The way to the nearest size that is allowed. A canonical path begins with one slash and a name, so this leads nowhere
    /// but here.
    fn snapped(&self, to: &Variant, query: Option<&str>) -> Result<Response<Body>, Failure> {
        let mut url = self.grammar.show(to);
        if let Some(query) = query {
            url = format!("{url}?{query}");
        }
        let mut response = self.redirect(&url)?;
        // Whatever redirects to the store are: what was asked for is never served here.
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        Ok(response)
    }

    fn refused(&self, nearest: &Variant) -> Failure {
        let path = self.grammar.show(nearest);
        Failure::SizeRefused(format!("this size or quality is not allowed here; the nearest that is: {path}").into())
    }

    /// Memory, else the flight; and if there is no such original, the object that is really called so.
    async fn variant(
        &self,
        method: &Method,
        addressed: &Addressed,
        (client, request): (IpAddr, &HeaderMap),
    ) -> Result<(Response<Body>, Outcome), Failure> {
        let variant = self.negotiated(addressed, request);
        let (answer, source) = self.find_or_make(&variant, client).await;
        let mut response = match &answer {
            Answer::Rendition(rendition) => self.whole_or_part(method, rendition, request)?,
            Answer::Location(location) => with_headers(self.policy.redirect_status, location.headers.clone(), empty()),
            Answer::Failed { failure: missing @ Failure::NotFound(_), .. } => {
                let literal = self.original(method, &addressed.literal, request).await;
                return literal.map(|response| (response, Outcome::Original)).map_err(|failure| match failure {
                    Failure::NotFound(_) => missing.clone(),
                    other => other,
                });
            }
            Answer::Failed { failure: Failure::Overloaded, .. } if self.overload == Overload::Original => {
                return Ok((self.instead(&variant.original)?, Outcome::Overloaded));
            }
            Answer::Failed { failure, .. } => return Err(failure.clone()),
        };
        answer.describe(source, response.headers_mut());
        if addressed.negotiable {
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        }
        Ok((response, answer.outcome(source)))
    }

    /// Memory, else the flight. Where whoever began that was over its rate, this client may not be, and begins one.
    async fn find_or_make(&self, variant: &Variant, client: IpAddr) -> (Answer, Source) {
        for _ in 0..FLIGHTS_OF_OTHERS {
            let make = |stale| self.maker.clone().make(variant.clone(), client, stale);
            match self.renditions.find_or_make(variant, make).await {
                (Answer::Failed { failure: Failure::Limited { what: Limited::Client, .. }, .. }, Source::Joined) => {}
                answered => return answered,
            }
        }
        (Answer::Failed { failure: Failure::Overloaded, remembered: self.remembered }, Source::Joined)
    }

    fn whole_or_part(
        &self,
        method: &Method,
        rendition: &Rendition,
        request: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        let bytes = &rendition.bytes;
        let wanted = wanted(method, request, &rendition.validators, bytes.len() as u64)?;
        let headers = rendition.headers.clone();
        Ok(respond(headers, &wanted, bytes.len() as u64, || match &wanted {
            Wanted::Part(part) => full(slice(bytes, part)),
            Wanted::Whole => full(bytes.clone()),
            Wanted::NotModified => empty(),
        }))
    }

    /// A plain original, if its kind is served: streamed, or in redirect mode at its public URL.
    async fn original(&self, method: &Method, key: &ObjectKey, request: &HeaderMap) -> Result<Response<Body>, Failure> {
        // An original that is replaced between the look and the stream is looked at again, once.
        for _ in 0..2 {
            let (meta, media_type) = self.look(key).await?;
            if let (Mode::Redirect, Some(url)) = (self.mode, self.originals.public_url(key)) {
                return self.redirect(&url);
            }
            let (headers, validators) = original::describe(&self.policy, &meta, media_type)?;
            let wanted = wanted(method, request, &validators, meta.bytes)?;
            if *method == Method::HEAD || wanted == Wanted::NotModified {
                return Ok(respond(headers, &wanted, meta.bytes, empty));
            }
            if let Some(object) = self.open_stream(key, &wanted).await?
                && object.meta.etag == meta.etag
            {
                return Ok(respond(headers, &wanted, meta.bytes, || streamed(object)));
            }
            self.sights.forget(key);
        }
        Err(Failure::StoreFailed)
    }

    /// The way to the original, for once, when a variant cannot be made now.
    fn instead(&self, original: &ObjectKey) -> Result<Response<Body>, Failure> {
        let url = match self.originals.public_url(original) {
            Some(url) => url,
            None if self.serve == Serve::None || self.require == Require::All => return Err(Failure::Overloaded),
            None => original.url_path(),
        };
        let mut headers = self.policy.image_headers();
        headers.insert(LOCATION, HeaderValue::try_from(url).map_err(|_| Failure::Internal)?);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Ok(with_headers(StatusCode::TEMPORARY_REDIRECT, headers, empty()))
    }

    /// What the original is, if it is served.
    async fn look(&self, key: &ObjectKey) -> Result<(Meta, Option<&'static str>), Failure> {
        let missing = || Failure::NotFound(format!("there is no picture {:?}", key.as_str()).into());
        if self.serve == Serve::None {
            return Err(missing());
        }
        let take = |_| Sight::take(self.originals.clone(), key.clone(), self.remembered);
        match self.sights.find_or_make(key, take).await.0 {
            Sight::Object { media_type: None, .. } if self.serve == Serve::Images => Err(missing()),
            Sight::Object { meta, media_type, .. } => Ok((meta, media_type)),
            Sight::Failed { failure, .. } => Err(failure),
        }
    }

    /// Opens the stream on the runtime of the tasks, where the store's connections live.
    async fn open_stream(&self, key: &ObjectKey, wanted: &Wanted) -> Result<Option<Object>, Failure> {
        let range = match wanted {
            Wanted::Part(part) => Some(ByteRange::FromTo { first: *part.start(), last: *part.end() }),
            Wanted::Whole | Wanted::NotModified => None,
        };
        let (store, key) = (self.originals.clone(), key.clone());
        let opened = self.tasks.spawn(async move { store.get(&key, range).await }).await;
        opened.map_err(|_| Failure::Internal)?.map_err(|error| Failure::of_store("original", &error))
    }

    fn redirect(&self, url: &str) -> Result<Response<Body>, Failure> {
        let mut headers = self.policy.image_headers();
        headers.insert(LOCATION, HeaderValue::try_from(url).map_err(|_| Failure::Internal)?);
        headers.insert(CACHE_CONTROL, self.policy.redirect_cache_control.clone());
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Ok(with_headers(self.policy.redirect_status, headers, empty()))
    }

    /// The variant in the best format that the client accepts, where the URL leaves that open.
    fn negotiated<'a>(&self, addressed: &'a Addressed, request: &HeaderMap) -> Cow<'a, Variant> {
        // The original may move: then so must the variant.
        let moves = addressed.variant.encoding.format().moves();
        let offers = self.offers.iter().copied().filter(|offer| offer.moves() || !moves);
        let format = if addressed.negotiable { negotiate(request, offers) } else { None };
        match format {
            Some(format) => Cow::Owned(addressed.variant.with_format(format, &self.grammar)),
            None => Cow::Borrowed(&addressed.variant),
        }
    }

    fn hinted(&self, failure: Failure, hint: Hint) -> Failure {
        match (&failure, hint) {
            (Failure::NotFound(detail), Hint::SideTooLarge) => {
                let side_max = self.side_max;
                Failure::NotFound(format!("{detail}; a side may be at most {side_max} pixels").into())
            }
            _ => failure,
        }
    }

    /// What may be asked; and to a preflight, by whom (Fetch standard, "CORS-preflight request").
    fn options(&self, request: &HeaderMap) -> Response<Body> {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(ALLOW, HeaderValue::from_static(ALLOWED));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let preflight = request.contains_key(ORIGIN) && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if let (true, Some(origin)) = (preflight, &self.policy.allow_origin) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
        }
        with_headers(StatusCode::NO_CONTENT, headers, empty())
    }

    fn problem(&self, failure: &Failure) -> Response<Body> {
        let (status, headers, body) = failure.answer(&self.policy.error_cache_control);
        with_headers(status, headers, full(body.into()))
    }

    /// Whether both stores answer.
    ///
    /// # Errors
    /// Which does not, by its key in config; its cause is logged.
    pub async fn ready(&self) -> Result<(), &'static str> {
        // Nothing is ever stored under this key.
        let key = ObjectKey::new("resized-ready").map_err(|_| "internal")?;
        let look = async |name: &'static str, store: &Store| match store.head(&key).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(name, error = chain(&error), "a store does not answer");
                Err(name)
            }
        };
        tokio::try_join!(look("originals.store", &self.originals), look("variants.store", &self.variants))?;
        Ok(())
    }

    /// Waits until flights and write-backs have ended, at most `patience` long, and ends the resize threads; `false` if
    /// something was left undone.
    pub async fn drain(&self, patience: Duration) -> bool {
        let drained = self.tasks.drain(patience).await;
        self.maker.stop();
        drained
    }
}

/// Has memory and the flights shown among the numbers.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn watch(renditions: &Cache<Variant, Answer>, metrics: &Metrics) {
    let read = |read: fn(&Cache<Variant, Answer>) -> u64| {
        let renditions = renditions.clone();
        vec![Reading::new(move || read(&renditions) as f64)]
    };
    metrics.watch("cache_bytes", "Memory that renditions occupy", read(Cache::weight));
    metrics.watch("cache_entries", "Renditions in memory", read(Cache::entries));
    metrics.watch("flights", "Variants that are being found or made", read(|cache| cache.flights() as u64));
}

/// Has it shown among the numbers when a store counts as gone.
fn watch_stores(originals: &Store, variants: &Store, metrics: &Metrics) {
    let gone = [("originals", originals), ("variants", variants)].map(|(name, store)| {
        let store = store.clone();
        Reading::new(move || f64::from(u8::from(store.is_gone()))).label("store", name)
    });
    metrics.watch("s3_circuit_open", "1 while a store counts as gone and is not asked", gone.into());
}

/// Has what config gives shown beside what is in use.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn watch_limits(config: &Config, metrics: &Metrics) {
    let work = &config.work;
    let limits = [
        ("cache", config.cache.memory),
        ("download", work.download_memory),
        ("pixels", work.pixel_memory),
        ("write_back", work.write_back_memory),
    ];
    let reading = |(of, limit): (_, bytesize::ByteSize)| Reading::new(move || limit.as_u64() as f64).label("of", of);
    metrics.watch("limit_bytes", "Memory that config gives", limits.into_iter().map(reading).collect());
}

/// 200, 206 or 304, of a picture of `bytes` whose whole has `headers`.
fn respond(mut headers: HeaderMap, wanted: &Wanted, bytes: u64, body: impl FnOnce() -> Body) -> Response<Body> {
    match wanted {
        Wanted::Whole => with_headers(StatusCode::OK, headers, body()),
        Wanted::Part(part) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end() - part.start() + 1));
            headers.insert(CONTENT_RANGE, content_range(part, bytes));
            with_headers(StatusCode::PARTIAL_CONTENT, headers, body())
        }
        Wanted::NotModified => {
            // RFC 9110 section 15.4.5: nothing that describes a body that is not sent.
            headers.remove(CONTENT_LENGTH);
            headers.remove(CONTENT_TYPE);
            with_headers(StatusCode::NOT_MODIFIED, headers, empty())
        }
    }
}

fn with_headers(status: StatusCode, headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn slice(bytes: &Bytes, part: &RangeInclusive<u64>) -> Bytes {
    let position = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(position(*part.start())..position(part.end() + 1))
}

fn full(bytes: Bytes) -> Body {
    Either::Left(Full::new(bytes))
}

fn empty() -> Body {
    full(Bytes::new())
}

fn streamed(object: Object) -> Body {
    Either::Right(BodyExt::boxed_unsync(StreamBody::new(object.body.map_ok(Frame::data))))
}
