//! OpenTelemetry traces: `[traces]`.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use crate::config::error::{InvalidSetting, refuse};
use crate::config::secret::Secret;

/// OpenTelemetry traces, sent as OTLP over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// URL of the collector, including the path. Empty disables tracing.
    pub endpoint: String,
    /// Headers of each export. Set by the environment only.
    pub headers: Secret,
    /// Name of this service in traces.
    pub service: String,
    /// Share of requests without a `traceparent` that are recorded, 0 to 1.
    pub sample: f64,
    /// Honors the `traceparent` header of requests.
    pub trust_traceparent: bool,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            headers: Secret::default(),
            service: "resized".into(),
            sample: 0.01,
            trust_traceparent: true,
        }
    }
}

impl Traces {
    /// Parses the headers and marks them as sensitive. Returns `None` if they are not written as
    /// `name=value,name=value`. Values may be percent-encoded, as in `OTEL_EXPORTER_OTLP_HEADERS`.
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

pub(in crate::config) fn check(traces: &Traces) -> Result<(), InvalidSetting> {
    if !(0.0..=1.0).contains(&traces.sample) {
        return refuse("traces.sample", "must be 0 to 1: 0.01 records one request in a hundred");
    }
    if traces.headers().is_none() {
        return refuse("traces.headers", "must be written as name=value,name=value, with %2C for commas in values");
    }
    if traces.endpoint.is_empty() {
        return Ok(());
    }
    let uri = traces.endpoint.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")));
    let Some(uri) = uri else { return refuse("traces.endpoint", "is not an http or https URL") };
    if uri.path() == "/" {
        return refuse("traces.endpoint", "needs a path; most collectors accept traces at /v1/traces");
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return refuse(
            "traces.endpoint",
            "contains a user name or password: use RESIZED_TRACES__HEADERS, which is never displayed",
        );
    }
    if traces.service.is_empty() {
        return refuse("traces.service", "must not be empty: it identifies the traces");
    }
    Ok(())
}
