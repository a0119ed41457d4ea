//! Response headers from config, parsed and built once.

use headers::{HeaderMapExt, LastModified};
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, CACHE_CONTROL, CONTENT_LENGTH,
    CONTENT_TYPE, ETAG, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::config::{self, Config};
use crate::variants::{Error, PrebuildHeaders, RenditionFacts};

/// `Cache-Status` (RFC 9211).
pub(in crate::proxy) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// `Server-Timing` (W3C).
pub(in crate::proxy) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// `Cache-Status` of a cache hit.
pub(in crate::proxy) const HIT: &str = "resized; hit";
/// `Cache-Status` of a variant whose bytes are not in memory.
pub(in crate::proxy) const STORED: &str = "resized; fwd=miss; detail=stored";

/// The headers that `[answers]` configures.
#[derive(Debug)]
pub struct ResponsePolicy {
    pub(in crate::proxy) cache_control: HeaderValue,
    pub(in crate::proxy) redirect_cache_control: HeaderValue,
    pub(in crate::proxy) original_cache_control: HeaderValue,
    pub(in crate::proxy) error_cache_control: HeaderValue,
    pub(in crate::proxy) redirect_status: StatusCode,
    pub(in crate::proxy) allow_origin: Option<HeaderValue>,
    /// Headers of every response with a picture or a redirect to one.
    picture_headers: HeaderMap,
}

impl ResponsePolicy {
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let answers = &config.answers;
        Self {
            cache_control: answers.cache_control.clone(),
            redirect_cache_control: answers.redirect_cache_control.clone(),
            original_cache_control: answers.original_cache_control.clone(),
            error_cache_control: answers.error_cache_control.clone(),
            redirect_status: answers.redirect_status,
            allow_origin: answers.allow_origin.clone(),
            picture_headers: picture_headers(answers),
        }
    }

    /// Headers of every response with a picture, with capacity for further headers.
    pub(in crate::proxy) fn picture_headers(&self) -> HeaderMap {
        self.picture_headers.clone()
    }

    /// Adds the headers that let web pages of the allowed origin read a response and all of its headers. Requests with
    /// credentials are not allowed, so the wildcard applies to every request (Fetch standard, "CORS protocol").
    pub(in crate::proxy) fn allow_reading(&self, headers: &mut HeaderMap) {
        allow_reading(self.allow_origin.as_ref(), headers);
    }

    /// Headers of a redirect to `url`.
    pub(in crate::proxy) fn redirect_headers(&self, url: &str) -> Result<HeaderMap, Error> {
        let mut headers = self.picture_headers();
        headers.insert(LOCATION, HeaderValue::try_from(url).map_err(|_| Error::Internal)?);
        headers.insert(CACHE_CONTROL, self.redirect_cache_control.clone());
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Ok(headers)
    }
}

impl PrebuildHeaders for ResponsePolicy {
    fn rendition(&self, facts: &RenditionFacts<'_>) -> Result<HeaderMap, Error> {
        let mut headers = self.picture_headers();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(facts.media_type));
        headers.insert(ETAG, HeaderValue::try_from(facts.etag).map_err(|_| Error::Internal)?);
        headers.typed_insert(LastModified::from(facts.last_modified));
        headers.insert(CACHE_CONTROL, self.cache_control.clone());
        headers.insert(CONTENT_LENGTH, HeaderValue::from(facts.bytes));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CACHE_STATUS, HeaderValue::from_static(if facts.is_streamed { STORED } else { HIT }));
        Ok(headers)
    }

    fn redirect(&self, url: &str) -> Result<HeaderMap, Error> {
        let mut headers = self.redirect_headers(url)?;
        headers.insert(CACHE_STATUS, HeaderValue::from_static(HIT));
        Ok(headers)
    }
}

fn picture_headers(answers: &config::Answers) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("timing-allow-origin"), HeaderValue::from_static("*"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("cross-origin"));
    allow_reading(answers.allow_origin.as_ref(), &mut headers);
    answers.headers.apply(&mut headers);
    headers
}

fn allow_reading(allow_origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    if let Some(origin) = allow_origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    }
}
