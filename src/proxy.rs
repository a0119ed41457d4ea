//! The story of a request.
//!
//! A path names a variant or an original. A variant is answered from memory, from its store, or it is made: once, however
//! many ask. An original streams through. What fails becomes a status. This is where the parts meet that know nothing of
//! one another: [`crate::cache`], [`crate::origin`] and [`crate::resize`].

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CACHE_CONTROL, CONTENT_LENGTH, LOCATION, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{Either, Full};

use crate::cache::{Cache, Source};
use crate::config::{Mode, Overload, Require, Serve};
use crate::observability::metrics::{Metrics, Outcome};
use crate::observability::traces::Traces;
use crate::origin::{Store, StoreError};
use crate::outbox::Notifier;
use crate::support::error_chain::chain;
use crate::support::tasks::Tasks;
use crate::upload::Uploads;
use crate::variant::{Addressed, Allowance, Format, Grammar, Hint, Named, ObjectKey, Signature, Signer, Variant};

pub(crate) mod preconditions;
mod s3_events;
mod explain;
mod request_validation;
mod negotiate;
mod open;
pub(crate) mod original;
pub(crate) mod response_headers;
mod probe;
pub(crate) mod error;
mod purge;
mod path_cache;
mod response;
mod signature;
mod preview;
mod uploads;

use crate::variants::invalidation_log::Purges;
use crate::variants::make::Maker;
use crate::variants::rate_limit::Limited;
use crate::variants::rendition::{Answer, Rendition};
use error::{ALLOWED, Failure};
pub use explain::{ExplainedVariant, Explanation, Seen};
use negotiate::negotiate;
pub use open::OpenError;
use original::Sight;
use path_cache::Readings;
use preconditions::{Wanted, wanted};
pub use purge::PurgeError;
use response::{empty, full, respond, slice, with_headers};
use response_headers::Policy;
pub use s3_events::{Notified, NotifyError};

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
    traces: Traces,
    uploads: Option<Uploads>,
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

/// How many flights of clients over their rate one that is not gets to see.
const FLIGHTS_OF_OTHERS: usize = 8;

impl Proxy {
    /// Answers a request of `client`; its body is not read.
    pub async fn answer<B>(&self, client: IpAddr, request: &Request<B>) -> Answered {
        let Some(span) = self.traces.request_span(request) else { return self.answer_and_count(client, request).await };
        let answered = span.instrument(Box::pin(self.answer_and_count(client, request))).await;
        span.record_response(answered.response.status(), Some(answered.outcome.as_str()));
        answered
    }

    async fn answer_and_count<B>(&self, client: IpAddr, request: &Request<B>) -> Answered {
        let start = Instant::now();
        let method = request.method();
        let (answer, outcome) = match self.route(client, request).await {
            Ok(answer) => answer,
            Err(failure) => (self.problem(&failure), failure.outcome()),
        };
        let response = if *method == Method::HEAD { answer.map(|_| empty()) } else { answer };
        let elapsed = start.elapsed();
        self.metrics.requests.record(outcome, elapsed);
        Answered { response, outcome, elapsed }
    }

    async fn route<B>(&self, client: IpAddr, request: &Request<B>) -> Result<(Response<Body>, Outcome), Failure> {
        request_validation::check(request)?;
        self.maker.rates().ask(client)?;
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
            signature::bound(&mut response, expires);
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
        let moves = addressed.variant.encoding.format().supports_animation();
        let offers = self.offers.iter().copied().filter(|offer| offer.supports_animation() || !moves);
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

    /// Waits until flights and write-backs have ended, at most `patience` long, ends the resize threads, and sends the spans
    /// that are left; `false` if something was left undone.
    pub async fn drain(&self, patience: Duration) -> bool {
        let drained = self.tasks.drain(patience).await;
        self.maker.stop();
        self.traces.shutdown().await;
        drained
    }

    /// The way to the collector of traces.
    pub fn traces(&self) -> &Traces {
        &self.traces
    }
}
