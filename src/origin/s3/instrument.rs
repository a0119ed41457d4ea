//! Each try of a request to S3, counted as it is billed and a span of its own: further tries are requests too.

use aws_sdk_s3::config::interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::observability::metrics::{S3Metrics, S3RequestKind};
use crate::observability::traces::{self, Span};

#[derive(Debug, Clone)]
pub(super) struct Count(pub(super) S3Metrics);

/// What the try under way is billed as, and its span: the request itself is gone when its answer is there.
#[derive(Debug)]
pub(super) struct Sent(S3RequestKind, Span);

impl Count {
    /// A request is about to be sent.
    pub(super) fn sent(&self, method: &str, url: &str) -> Sent {
        let kind = kind(method, url);
        let call = traces::client_span(kind.span_name(), method, url);
        call.set_url(url);
        Sent(kind, call)
    }

    /// It was answered with `status`, or not at all.
    pub(super) fn ended(&self, Sent(kind, call): &Sent, status: Option<u16>) {
        self.0.record_response(*kind, status);
        // That there is no such object, or that a condition does not hold, is an answer like another.
        call.finish(status, status.is_some_and(|status| status < 400 || matches!(status, 404 | 412)));
    }
}

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Count {
    fn name(&self) -> &'static str {
        "count"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        state.interceptor_state().store_put(self.sent(request.method(), request.uri()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        state: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(sent) = state.load::<Sent>() {
            self.ended(sent, context.response().map(|response| response.status().as_u16()));
        }
        Ok(())
    }
}

/// What a request is billed as: a listing is a GET whose query says so, and a batch of deletions is a POST.
fn kind(method: &str, uri: &str) -> S3RequestKind {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
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
        for (method, uri, expected) in table {
            assert_eq!(kind(method, uri), expected, "{method} {uri}");
        }
    }
}
