//! What config says about answers, as header values made once, and how long they are good.

use std::time::{Duration, Instant};

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::cache::Keep;
use crate::config::{self, Config};

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
    pub(crate) fn new(config: &Config) -> Self {
        let answers = &config.answers;
        let revalidate_after = config.cache.revalidate_after;
        Self {
            image: image_headers(answers),
            redirect_status: answers.redirect_status,
            cache_control: answers.cache_control.clone(),
            redirect_cache_control: answers.redirect_cache_control.clone(),
            original_cache_control: answers.original_cache_control.clone(),
            error_cache_control: answers.error_cache_control.clone(),
            allow_origin: answers.allow_origin.clone(),
            keep: if config.originals.immutable { Keep::UntilEvicted } else { Keep::Fresh(revalidate_after) },
            brief: config.cache.failures,
        }
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

fn image_headers(answers: &config::Answers) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(16);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("timing-allow-origin"), HeaderValue::from_static("*"));
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(policy, HeaderValue::from_static("cross-origin"));
    if let Some(origin) = &answers.allow_origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    answers.headers.apply(&mut headers);
    headers
}
