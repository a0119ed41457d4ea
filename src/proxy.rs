//! Handles requests for variants and originals.
//!
//! A request is validated, and its path names a variant or an original. [`crate::variants`] returns a variant from
//! memory or from its store, or makes it; `Accept` may choose its format. An original is streamed from its store.
//! Preconditions and ranges select the bytes to send. An error becomes a problem response. This module and its
//! submodules handle HTTP; [`crate::variants`] decides how a variant is found or made.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::config::{Config, Overload};
use crate::observability::metrics::{Metrics, Outcome};
use crate::observability::traces::Traces;
use crate::origin::Store;
use crate::support::open_bodies::{BodyPermit, OpenBodies};
use crate::support::request_filter::Refusal;
use crate::support::tasks::Tasks;
use crate::upload::Uploads;
use crate::variant::{
    AddressedVariant, Format, Grammar, NearMiss, ObjectKey, ParsedPath, PathError, Signature, SizeDecision, Variant,
};
use crate::variants::{Delivery, Error, FoundVariant, NegotiatedVariant, Preview, Rendition, Variants};

mod error;
mod explain;
mod object_stream;
mod original;
mod sanitized_svg;
mod purge;
mod request;
mod response;
mod response_limits;
mod s3_events;
mod uploads;

pub use explain::{ExplainedVariant, Explainer, Explanation, LateVariant, ObjectStatus, VariantAccess};
pub use original::ObjectInfoCache;
pub use response::Body;
pub use response::headers::ResponsePolicy;
pub use s3_events::{EventError, EventOutcome};

use error::RequestError;
use object_stream::ObjectStreams;
use original::{Originals, OriginalsParts};
use request::negotiate::negotiate;
use request::path_cache::PathCache;
use request::preconditions::{BodySelection, evaluate};
use request::signature::{SignaturePolicy, cap_cache_lifetime};
use request::validation::validate;
use response::cache_status::{self, server_timing};
use response::headers::SERVER_TIMING;
use response::{cors, disposition, empty, full, interim, problem_details, respond, slice, with_headers};
use response_limits::ResponseLimits;

/// Maximum number of lookups of a stored variant that is replaced or deleted before it can be streamed.
const DELIVERIES_MAX: usize = 2;

/// Responds to requests.
#[derive(Debug)]
pub struct Proxy {
    paths: PathCache,
    signatures: SignaturePolicy,
    variants: Variants,
    originals: Originals,
    policy: Arc<ResponsePolicy>,
    uploads: Option<Uploads>,
    overload: Overload,
    side_max: u16,
    metrics: Arc<Metrics>,
    traces: Traces,
    limits: ResponseLimits,
    stored: ObjectStreams,
}

/// Parts of a [`Proxy`]. A reload makes a new proxy from new settings and the parts of the running one.
#[derive(Debug)]
pub struct ProxyParts<'a> {
    pub config: &'a Config,
    pub grammar: Grammar,
    pub policy: Arc<ResponsePolicy>,
    pub variants: Variants,
    pub originals: Store,
    pub object_infos: ObjectInfoCache,
    pub uploads: Option<Uploads>,
    /// Streams from stores are opened on these tasks.
    pub tasks: Tasks,
    pub metrics: Arc<Metrics>,
    pub traces: Traces,
    pub open_bodies: Arc<OpenBodies>,
}

/// A response with the facts that the access log and the metrics report.
#[derive(Debug)]
pub struct Answered {
    pub response: Response<Body>,
    pub outcome: Outcome,
    /// Time from the request's header to the response's header.
    pub elapsed: Duration,
}

impl Proxy {
    #[must_use]
    pub fn new(parts: ProxyParts<'_>) -> Self {
        let ProxyParts { config, policy, .. } = parts;
        let stored = ObjectStreams::new(parts.variants.store().clone(), parts.tasks.clone());
        let originals = Originals::new(OriginalsParts {
            config,
            store: parts.originals,
            infos: parts.object_infos,
            policy: policy.clone(),
            variants: parts.variants.clone(),
            tasks: parts.tasks,
        });
        let limits = ResponseLimits::new(parts.open_bodies, &config.server.trusted_proxies);
        Self {
            paths: PathCache::new(parts.grammar),
            signatures: SignaturePolicy::new(config),
            variants: parts.variants,
            originals,
            policy,
            uploads: parts.uploads,
            overload: config.work.overload,
            side_max: config.limits.max_side.get(),
            metrics: parts.metrics,
            traces: parts.traces,
            limits,
            stored,
        }
    }

    /// Responds to a request of `client`. The body of the request is not read.
    pub async fn answer<B>(&self, client: IpAddr, request: &Request<B>) -> Answered {
        let Some(span) = self.traces.request_span(request) else { return self.answer_and_count(client, request).await };
        let answered = span.instrument(Box::pin(self.answer_and_count(client, request))).await;
        span.record_response(answered.response.status(), Some(answered.outcome.as_str()));
        answered
    }

    async fn answer_and_count<B>(&self, client: IpAddr, request: &Request<B>) -> Answered {
        let start = Instant::now();
        let method = request.method();
        let parsed = self.paths.parse(request.uri().path());
        let (mut response, outcome) = match self.route(client, request, parsed.as_deref()).await {
            Ok(response) => response,
            Err(error) => (self.error_response(&error), error.class().outcome),
        };
        if parsed.is_ok_and(|parsed| parsed.is_negotiable()) {
            // Errors and redirects too: for another client the same URL may name an existing format.
            response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
        }
        let response = if *method == Method::HEAD { response.map(|_| empty()) } else { response };
        let elapsed = start.elapsed();
        self.metrics.requests.record(outcome, elapsed);
        Answered { response, outcome, elapsed }
    }

    async fn route<B>(
        &self,
        client: IpAddr,
        request: &Request<B>,
        parsed: Result<&ParsedPath, &PathError>,
    ) -> Result<(Response<Body>, Outcome), RequestError> {
        validate(request)?;
        self.check_request_rate(client)?;
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        match *method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok((cors::options(&self.policy, headers), Outcome::Options)),
            _ => return Err(RequestError::MethodNotAllowed),
        }
        let parsed = parsed.map_err(|error| RequestError::BadPath(error.to_string()))?;
        let signature = self.signatures.verify(parsed, uri.query())?;
        let (mut response, outcome) = match (parsed, signature) {
            (ParsedPath::Variant(addressed), Signature::None) => match &addressed.size_decision {
                SizeDecision::Allowed => self.variant(client, method, headers, addressed).await?,
                SizeDecision::RedirectTo(nearest) => {
                    (self.redirect_to_nearest(nearest, uri.query())?, Outcome::Snapped)
                }
                SizeDecision::Refused(nearest) => return Err(RequestError::size_not_allowed(self.grammar(), nearest)),
            },
            (ParsedPath::Variant(addressed), Signature::Valid { .. }) => {
                self.variant(client, method, headers, addressed).await?
            }
            (ParsedPath::Object(key, hint), _) => {
                let original = self.original(client, method, key, headers).await;
                (original.map_err(|error| self.with_hint(error, *hint))?, Outcome::Original)
            }
        };
        if let Signature::Valid { expires: Some(expires) } = signature {
            cap_cache_lifetime(&mut response, expires);
        }
        Ok((response, outcome))
    }

    /// Responds with a variant. If its original does not exist, the object with the literal name of the path is served.
    async fn variant(
        &self,
        client: IpAddr,
        method: &Method,
        request: &HeaderMap,
        addressed: &AddressedVariant,
    ) -> Result<(Response<Body>, Outcome), RequestError> {
        let variant = self.negotiated(addressed, request, |_| true);
        let interim = self.interim(addressed, request, &variant);
        for _ in 0..DELIVERIES_MAX {
            let found = match &variant {
                Cow::Borrowed(variant) => self.variants.get(variant, client).await,
                Cow::Owned(preferred) => {
                    let (interim, in_url) = (interim.as_deref(), &addressed.variant);
                    self.variants.get_negotiated(NegotiatedVariant { preferred, interim, in_url }, client).await
                }
            };
            let found = match found {
                Ok(found) => found,
                Err(missing @ Error::NotFound(_)) => {
                    return match self.original(client, method, &addressed.literal_key, request).await {
                        Ok(response) => Ok((response, Outcome::Original)),
                        Err(RequestError::Variant(Error::NotFound(_))) => Err(missing.into()),
                        Err(error) => Err(error),
                    };
                }
                Err(Error::Overloaded | Error::LaneFull(_) | Error::MemoryFull(_))
                    if self.overload == Overload::Original =>
                {
                    return Ok((self.originals.redirect_to_original(&variant.original)?, Outcome::Overloaded));
                }
                Err(error) => return Err(error.into()),
            };
            if let Some(mut response) = self.deliver(&found, client, method, request).await? {
                if addressed.negotiable {
                    disposition::name_file(&addressed.literal_key, &mut response);
                }
                return Ok((response, cache_status::outcome(&found)));
            }
            self.variants.forget_variant(&variant);
            self.variants.forget_variant(&addressed.variant);
            interim.iter().for_each(|interim| self.variants.forget_variant(interim));
        }
        Err(Error::StoreFailed.into())
    }

    /// Responds with the object `key` of the originals' store.
    async fn original(
        &self,
        client: IpAddr,
        method: &Method,
        key: &ObjectKey,
        request: &HeaderMap,
    ) -> Result<Response<Body>, RequestError> {
        let permit = |bytes| self.limits.open_object(client, bytes);
        self.originals.respond(client, method, key, request, permit).await
    }

    /// Admits a request of `client` on a stream of HTTP/2. The permit is held until its response is sent.
    ///
    /// # Errors
    /// The response to send instead.
    pub fn admit_stream(&self, client: IpAddr, request: &HeaderMap) -> Result<BodyPermit, Box<Response<Bytes>>> {
        self.limits.open_stream(client, request).map_err(|error| {
            let error = RequestError::from(error);
            self.metrics.requests.record(error.class().outcome, Duration::ZERO);
            Box::new(problem_details::error_response(&error, &self.policy))
        })
    }

    /// `None` if the variant has to be looked up again.
    async fn deliver(
        &self,
        found: &FoundVariant,
        client: IpAddr,
        method: &Method,
        request: &HeaderMap,
    ) -> Result<Option<Response<Body>>, RequestError> {
        let mut response = match &found.delivery {
            Delivery::Rendition(rendition) => send(rendition, method, request)?,
            Delivery::Redirect(redirect) => {
                with_headers(self.policy.redirect_status, redirect.headers.clone(), empty())
            }
            Delivery::Stored(stored) => {
                let permit = |bytes| self.limits.open_object(client, bytes);
                // The future is large, so it is boxed. Other variants do not need it.
                match Box::pin(self.stored.respond(stored, method, request, permit)).await? {
                    Some(response) => response,
                    None => return Ok(None),
                }
            }
        };
        cache_status::describe(found, &self.policy, response.headers_mut());
        interim::describe(found, &mut response);
        Ok(Some(response))
    }

    /// The variant that a client gets until `preferred`, which `Accept` chose, is stored. `None` if that does not take long, or if
    /// the URL names its format.
    fn interim<'a>(
        &self,
        addressed: &'a AddressedVariant,
        request: &HeaderMap,
        preferred: &Variant,
    ) -> Option<Cow<'a, Variant>> {
        let (format, in_url) = (preferred.encoding.format(), addressed.variant.encoding.format());
        let is_late = self.grammar().is_made_later(format) && format != in_url;
        is_late.then(|| self.negotiated(addressed, request, |offer| !self.grammar().is_made_later(offer)))
    }

    /// The variant in the format that `Accept` prefers of those that `is_offered`, if the URL leaves the format open.
    fn negotiated<'a>(
        &self,
        addressed: &'a AddressedVariant,
        request: &HeaderMap,
        is_offered: impl Fn(Format) -> bool,
    ) -> Cow<'a, Variant> {
        if !addressed.negotiable {
            return Cow::Borrowed(&addressed.variant);
        }
        let offers = self.grammar().offers(addressed.variant.encoding.format()).filter(|offer| is_offered(*offer));
        match negotiate(request, offers, addressed.variant.encoding.format()) {
            Some(format) => Cow::Owned(addressed.variant.with_format(format, self.grammar())),
            None => Cow::Borrowed(&addressed.variant),
        }
    }

    /// A redirect to the nearest allowed size. It cannot lead to another site, because a canonical path begins with a
    /// single slash and a name.
    fn redirect_to_nearest(&self, nearest: &Variant, query: Option<&str>) -> Result<Response<Body>, RequestError> {
        let mut url = self.grammar().canonical_path(nearest);
        if let Some(query) = query {
            url = format!("{url}?{query}");
        }
        // The redirect is always permanent: unlike a redirect to a store, it depends only on the settings.
        Ok(with_headers(StatusCode::MOVED_PERMANENTLY, self.policy.redirect_headers(&url)?, empty()))
    }

    fn with_hint(&self, error: RequestError, hint: NearMiss) -> RequestError {
        match (error, hint) {
            (RequestError::Variant(Error::NotFound(detail)), NearMiss::SideTooLarge) => {
                let side_max = self.side_max;
                Error::NotFound(format!("{detail}; a side may be at most {side_max} pixels").into()).into()
            }
            (error, NearMiss::SideTooLarge | NearMiss::None) => error,
        }
    }

    /// Responds with the variant that `path` names, made from the bytes `original` instead of a stored original. The
    /// response is neither stored, cached nor counted.
    pub async fn preview(&self, path: &str, original: Bytes) -> Response<Body> {
        self.make_preview(path, original).await.unwrap_or_else(|error| self.error_response(&error))
    }

    async fn make_preview(&self, path: &str, original: Bytes) -> Result<Response<Body>, RequestError> {
        let parsed = self.grammar().parse(path).map_err(|error| RequestError::BadPath(error.to_string()))?;
        let ParsedPath::Variant(AddressedVariant { variant, .. }) = parsed else {
            return Err(Error::NotFound("the name has no size; write it as cat_300x200.jpg".into()).into());
        };
        let Preview { bytes, timings } = self.variants.preview(&variant, original).await?;
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(variant.encoding.format().media_type()));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        if let Some(timing) = server_timing(&timings) {
            headers.insert(SERVER_TIMING, timing);
        }
        Ok(with_headers(StatusCode::OK, headers, full(bytes)))
    }

    fn check_request_rate(&self, client: IpAddr) -> Result<(), RequestError> {
        self.variants.check_request_rate(client).map_err(|limit| Error::RateLimited(limit).into())
    }

    fn error_response(&self, error: &RequestError) -> Response<Body> {
        problem_details::error_response(error, &self.policy).map(full)
    }

    /// The response to a request that the request filter refuses.
    #[must_use]
    pub fn refuse(&self, refusal: Refusal) -> Response<Bytes> {
        let error = RequestError::from(refusal);
        self.metrics.requests.record(error.class().outcome, Duration::ZERO);
        problem_details::error_response(&error, &self.policy)
    }

    fn grammar(&self) -> &Grammar {
        self.paths.grammar()
    }

    /// The variants that this proxy serves.
    #[must_use]
    pub fn variants(&self) -> &Variants {
        &self.variants
    }
}

/// Responds with the rendition, a range of it, or 304.
fn send(rendition: &Rendition, method: &Method, request: &HeaderMap) -> Result<Response<Body>, RequestError> {
    let bytes = &rendition.bytes;
    let selection = evaluate(method, request, &rendition.validators, bytes.len() as u64)?;
    let headers = rendition.headers.clone();
    Ok(respond(headers, &selection, bytes.len() as u64, || match &selection {
        BodySelection::Range(range) => full(slice(bytes, range)),
        BodySelection::Full => full(bytes.clone()),
        BodySelection::NotModified => empty(),
    }))
}
