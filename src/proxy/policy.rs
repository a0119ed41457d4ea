//! What config says about answers, as header values made once, and how long they are good.

use std::time::Duration;

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};

use super::OpenError;
use crate::cache::Keep;
use crate::config::Config;

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) cache_control: HeaderValue,
    pub(super) redirect_cache_control: HeaderValue,
    pub(super) original_cache_control: HeaderValue,
    pub(super) error_cache_control: HeaderValue,
    allow_origin: Option<HeaderValue>,
    /// How long a variant is good.
    pub(super) keep: Keep,
    /// How long a failure is, or a variant that could not be looked after.
    pub(super) brief: Duration,
}

impl Policy {
    /// # Errors
    /// A value that cannot stand in a header, named by its key in config.
    pub(super) fn new(config: &Config) -> Result<Self, OpenError> {
        let answers = &config.answers;
        let revalidate_after = config.cache.revalidate_after;
        Ok(Self {
            cache_control: value("answers.cache_control", &answers.cache_control)?,
            redirect_cache_control: value("answers.redirect_cache_control", &answers.redirect_cache_control)?,
            original_cache_control: value("answers.original_cache_control", &answers.original_cache_control)?,
            error_cache_control: value("answers.error_cache_control", &answers.error_cache_control)?,
            allow_origin: match answers.allow_origin.as_str() {
                "" => None,
                origin => Some(value("answers.allow_origin", origin)?),
            },
            keep: if config.originals.immutable { Keep::UntilEvicted } else { Keep::Fresh(revalidate_after) },
            brief: config.cache.failures,
        })
    }

    /// The headers that every image answer has, with room for the rest.
    pub(super) fn image_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(origin) = &self.allow_origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        headers
    }
}

fn value(key: &'static str, text: &str) -> Result<HeaderValue, OpenError> {
    HeaderValue::from_str(text).map_err(|_| OpenError::Header { key })
}
