//! Traces, and the collector that they are sent to.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::check::{InvalidSetting, refuse};
use super::{Config, Secret, nonzero};

/// OpenTelemetry traces, sent as OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// The collector's URL for traces, with its path; empty is none.
    pub endpoint: String,
    /// Sent with every batch; only from the environment.
    pub headers: Secret,
    /// What the service is called among others.
    pub service: String,
    /// Of requests without a `traceparent`, how many are recorded: 0 to 1.
    pub sample: f64,
    /// Whether a request's `traceparent` is honoured.
    pub parents: bool,
    /// One batch.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Spans that wait to be sent.
    pub queue: NonZeroUsize,
    /// The most of them that are sent at once.
    pub batch: NonZeroUsize,
    /// How long spans gather before they are sent.
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers: Secret::default(),
            service: "resized".into(),
            sample: 0.01,
            parents: true,
            timeout: Duration::from_secs(5),
            queue: nonzero(2048),
            batch: nonzero(512),
            interval: Duration::from_secs(5),
        }
    }
}

impl Traces {
    /// The headers one by one, marked as secrets; `None` if they are not written as `name=value,name=value`. Values may be
    /// percent-encoded, as in `OTEL_EXPORTER_OTLP_HEADERS`.
    #[must_use]
    pub fn headers(&self) -> Option<HeaderMap> {
        let pairs = self.headers.reveal().split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let header = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let mut value = HeaderValue::try_from(&*value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name.trim()).ok()?, value))
        };
        pairs.map(header).collect()
    }
}

pub(super) fn check(config: &Config) -> Result<(), InvalidSetting> {
    let traces = &config.traces;
    if !(0.0..=1.0).contains(&traces.sample) {
        return refuse("traces.sample", "must be 0 to 1: 0.01 is one request of a hundred");
    }
    if traces.batch > traces.queue {
        return refuse("traces.batch", "must be at most traces.queue: more are never there to be sent");
    }
    if traces.timeout.is_zero() {
        return refuse("traces.timeout", "must be more than nothing, or no batch could be sent");
    }
    if traces.headers().is_none() {
        return refuse("traces.headers", "must be written as name=value,name=value, with commas in values as %2C");
    }
    if traces.endpoint.is_empty() {
        return Ok(());
    }
    let uri = traces.endpoint.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")));
    let Some(uri) = uri else { return refuse("traces.endpoint", "is no http or https URL") };
    if uri.path() == "/" {
        return refuse("traces.endpoint", "needs its path; most collectors take traces at /v1/traces");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return refuse("traces.endpoint", "has a name or password: set RESIZED_TRACES__HEADERS, which is never shown");
    }
    if traces.service.is_empty() {
        return refuse("traces.service", "must not be empty: traces are found by it");
    }
    Ok(())
}
