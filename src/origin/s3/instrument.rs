//! Counts each attempt of a request to S3 by its billing category, and records a span for it. Reads the bucket's clock from
//! the responses.

use aws_sdk_s3::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use super::clock::BucketClock;
use crate::observability::metrics::{S3Metrics, S3RequestKind};
use crate::observability::traces::{self, Span};

#[derive(Debug, Clone)]
pub(super) struct S3Instrumentation {
    metrics: S3Metrics,
    clock: BucketClock,
}

/// An attempt that has been sent. It is stored because the SDK no longer has the request when the response arrives.
#[derive(Debug)]
pub(super) struct Attempt {
    kind: S3RequestKind,
    span: Span,
}

impl S3Instrumentation {
    pub(super) fn new(metrics: S3Metrics) -> Self {
        Self { metrics, clock: BucketClock::default() }
    }

    /// The bucket's clock, as read from the responses so far.
    pub(super) fn clock(&self) -> BucketClock {
        self.clock.clone()
    }

    pub(super) fn start(&self, method: &str, url: &str) -> Attempt {
        let kind = kind(method, url);
        let span = traces::client_span(kind.span_name(), method, url);
        span.set_url(url);
        Attempt { kind, span }
    }

    /// Records the end of an attempt; `status` is `None` if there was no response.
    pub(super) fn end(&self, attempt: &Attempt, status: Option<u16>) {
        self.metrics.record_response(attempt.kind, status);
        // A missing object and a failed precondition are expected results.
        let is_success = status.is_some_and(|status| status < 400 || matches!(status, 404 | 412));
        attempt.span.finish(status, is_success);
    }
}

impl Storable for Attempt {
    type Storer = StoreReplace<Self>;
}

impl Intercept for S3Instrumentation {
    fn name(&self) -> &'static str {
        "instrumentation"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        state.interceptor_state().store_put(self.start(request.method(), request.uri()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(response) = context.response() {
            self.clock.record(|name| response.headers().get(name));
        }
        if let Some(attempt) = state.load::<Attempt>() {
            self.end(attempt, context.response().map(|response| response.status().as_u16()));
        }
        Ok(())
    }
}

/// The billing category of a request. A listing is a GET, and a deletion of several objects is a POST; the query
/// identifies both.
fn kind(method: &str, url: &str) -> S3RequestKind {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    match method {
        "GET" if query.split('&').any(|pair| pair.starts_with("list-type=")) => S3RequestKind::List,
        "POST" if query.split('&').any(|pair| pair == "delete" || pair == "delete=") => S3RequestKind::Delete,
        "GET" => S3RequestKind::Get,
        "HEAD" => S3RequestKind::Head,
        "PUT" => S3RequestKind::Put,
        "DELETE" => S3RequestKind::Delete,
        _ => S3RequestKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_as_it_is_billed() {
        let table = [
            ("GET", "http://s3/bucket/key?x-id=GetObject", S3RequestKind::Get),
            ("GET", "http://s3/bucket?list-type=2&prefix=a", S3RequestKind::List),
            ("HEAD", "http://s3/bucket/key", S3RequestKind::Head),
            ("PUT", "http://s3/bucket/key?x-id=PutObject", S3RequestKind::Put),
            ("DELETE", "http://s3/bucket/key", S3RequestKind::Delete),
            ("POST", "http://s3/bucket?delete", S3RequestKind::Delete),
            ("POST", "http://s3/bucket/key?uploads", S3RequestKind::Other),
        ];
        for (method, url, expected) in table {
            assert_eq!(kind(method, url), expected, "{method} {url}");
        }
    }
}
