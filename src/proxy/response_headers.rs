//! What config says about answers, as header values made once, and how long they are good.

use std::time::{Duration, Instant};

use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED, LOCATION, TRANSFER_ENCODING, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::OpenError;
use crate::cache::Keep;
use crate::config::{self, Config};
use crate::variants::rendition::{CACHE_STATUS, SERVER_TIMING};

#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) cache_control: HeaderValue,
    pub(crate) redirect_cache_control: HeaderValue,
    pub(crate) original_cache_control: HeaderValue,
    pub(crate) error_cache_control: HeaderValue,
    pub(crate) redirect_status: StatusCode,
    pub(crate) allow_origin: Option<HeaderValue>,
    /// What every image answer has.
    image: HeaderMap,
    /// How long a variant is good.
    keep: Keep,
    /// How long a failure is, or a variant that could not be looked after.
    pub(crate) brief: Duration,
}

impl Policy {
    /// # Errors
    /// A value that cannot stand in a header, named by its key in config.
    pub(crate) fn new(config: &Config) -> Result<Self, OpenError> {
        let answers = &config.answers;
        let revalidate_after = config.cache.revalidate_after;
        let allow_origin = optional("answers.allow_origin", &answers.allow_origin)?;
        Ok(Self {
            image: image_headers(answers, allow_origin.as_ref())?,
            redirect_status: StatusCode::from_u16(answers.redirect_status)
                .map_err(|_| OpenError::Header { key: "answers.redirect_status" })?,
            cache_control: value("answers.cache_control", &answers.cache_control)?,
            redirect_cache_control: value("answers.redirect_cache_control", &answers.redirect_cache_control)?,
            original_cache_control: value("answers.original_cache_control", &answers.original_cache_control)?,
            error_cache_control: value("answers.error_cache_control", &answers.error_cache_control)?,
            allow_origin,
            keep: if config.originals.immutable { Keep::UntilEvicted } else { Keep::Fresh(revalidate_after) },
            brief: config.cache.failures,
        })
    }

    /// How long a variant is good still whose original was looked at at `as_of`: what took longer since then leaves less.
    pub(crate) fn keep_since(&self, as_of: Instant) -> Keep {
        match self.keep {
            Keep::Fresh(time) => Keep::Fresh(time.saturating_sub(as_of.elapsed())),
            keep => keep,
        }
    }

    /// The headers that every image answer has, with room for the rest.
    pub(crate) fn image_headers(&self) -> HeaderMap {
        self.image.clone()
    }
}

/// What the server or the proxy writes itself, and would contradict if config wrote it too.
const COMPUTED: [HeaderName; 14] = [
    ACCEPT_RANGES,
    CACHE_CONTROL,
    CACHE_STATUS,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    DATE,
    ETAG,
    LAST_MODIFIED,
    LOCATION,
    SERVER_TIMING,
    TRANSFER_ENCODING,
];

fn image_headers(answers: &config::Answers, allow_origin: Option<&HeaderValue>) -> Result<HeaderMap, OpenError> {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let timing = optional("answers.timing_allow_origin", &answers.timing_allow_origin)?;
    let policy = optional("answers.resource_policy", &answers.resource_policy)?;
    let given = [
        (ACCESS_CONTROL_ALLOW_ORIGIN, allow_origin.cloned()),
        (HeaderName::from_static("timing-allow-origin"), timing),
        (HeaderName::from_static("cross-origin-resource-policy"), policy),
    ];
    headers.extend(given.into_iter().filter_map(|(name, value)| Some((name, value?))));
    for (name, text) in &answers.headers {
        let name = HeaderName::try_from(name).ok().filter(|name| !COMPUTED.contains(name) && *name != VARY);
        headers.insert(name.ok_or(OpenError::Header { key: "answers.headers" })?, value("answers.headers", text)?);
    }
    Ok(headers)
}

/// Nothing where config says nothing.
fn optional(key: &'static str, text: &str) -> Result<Option<HeaderValue>, OpenError> {
    if text.is_empty() { Ok(None) } else { value(key, text).map(Some) }
}

fn value(key: &'static str, text: &str) -> Result<HeaderValue, OpenError> {
    HeaderValue::from_str(text).map_err(|_| OpenError::Header { key })
}
