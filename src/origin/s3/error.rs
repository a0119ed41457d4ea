//! Error responses of S3.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use http::Response;
use http_body_util::{BodyExt, Limited};
use quick_xml::Reader;
use quick_xml::events::Event;

use super::cause::Cause;
use crate::origin::error::{BoxError, StoreError};
use crate::support::https::Incoming;

/// An error response from S3.
#[derive(Debug, Clone)]
pub(in crate::origin) struct S3ErrorResponse {
    pub(super) status: u16,
    /// For example `NoSuchKey`; `None` if the response has no body, such as the response to a HEAD request.
    pub(super) code: Option<String>,
    message: String,
    /// The region of the bucket, if the request was sent to another one.
    bucket_region: Option<String>,
    /// Length of the object, if the requested range is outside of it.
    object_bytes: Option<u64>,
    /// The time of the store's clock.
    date: Option<SystemTime>,
    /// Pause before the next attempt, if the store requests one.
    pub(super) retry_after: Option<Duration>,
}

/// Error documents of S3 are less than 1 KiB long. Longer bodies come from other servers and are not read to the end.
const BODY_BYTES_MAX: usize = 64 << 10;

impl S3ErrorResponse {
    /// Reads the error document in `response`. Any other body is ignored.
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let text = Limited::new(body, BODY_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        Self::with_document(head.status.as_u16(), &text.unwrap_or_default(), header)
    }

    /// The error response that the SDK received; `None` if it is not an error. The SDK has read its body. `code` is the
    /// code that the SDK found, for errors whose status is 200.
    pub(super) fn of_sdk(response: &HttpResponse, code: Option<String>) -> Option<Self> {
        let status = response.status().as_u16();
        if status < 300 && code.is_none() {
            return None;
        }
        let body = response.body().bytes().unwrap_or_default();
        let header = |name| response.headers().get(name);
        let response = Self::with_document(status, body.get(..BODY_BYTES_MAX).unwrap_or(body), header);
        Some(Self { code: response.code.or(code), ..response })
    }

    fn with_document<'a>(status: u16, document: &[u8], header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        let ErrorDocument { code, message, region } = ErrorDocument::parse(&String::from_utf8_lossy(document));
        let response = Self::new(status, Some(code).filter(|code| !code.is_empty()), header);
        let region = Some(region).filter(|region| !region.is_empty());
        Self { message, bucket_region: response.bucket_region.or(region), ..response }
    }

    /// An error without a message.
    pub(super) fn new<'a>(status: u16, code: Option<String>, header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        // The Date of a cached response is that of the original response.
        let date = header("date").filter(|_| header("age").is_none());
        Self {
            status,
            code,
            message: String::new(),
            bucket_region: header("x-amz-bucket-region").map(str::to_owned),
            object_bytes: header("content-range").and_then(|range| range.strip_prefix("bytes */")?.parse().ok()),
            date: date.and_then(|date| httpdate::parse_http_date(date).ok()),
            retry_after: header("x-amz-retry-after").and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
        }
    }

    /// True if the object does not exist. A missing bucket is an error.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == 404 && self.code.as_deref() != Some("NoSuchBucket")
    }

    /// True if another attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        let code = self.code.as_deref();
        matches!(self.status, 429 | 500 | 502..=504) || code.is_some_and(|code| TRANSIENT_CODES.contains(&code))
    }

    /// The store's time if the request may have been denied because the clocks differ. It is read from the `Date`
    /// header, because a response without a body has no error code.
    pub(super) fn skewed_clock(&self) -> Option<SystemTime> {
        let theirs = self.date.filter(|_| matches!(self.status, 401 | 403))?;
        let ours = SystemTime::now();
        let difference = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default();
        Some(theirs).filter(|_| difference > SKEW_MAX)
    }

    /// True if other credentials may be accepted. The response to a HEAD request has no code.
    pub(super) fn rejects_credentials(&self) -> bool {
        match self.cause() {
            Some(Cause::ExpiredCredentials | Cause::UnknownAccessKey | Cause::WrongSecret) => true,
            Some(_) => false,
            None => self.code.is_none() && matches!(self.status, 400 | 401 | 403),
        }
    }

    /// The cause that status and code identify.
    fn cause(&self) -> Option<Cause> {
        if self.skewed_clock().is_some() {
            return Some(Cause::ClockSkew);
        }
        // The response to a HEAD request has no code.
        let is_elsewhere = self.code.is_none() && self.status == 400 && self.bucket_region.is_some();
        let elsewhere = is_elsewhere.then_some(Cause::WrongRegion);
        Cause::of(self.status, self.code.as_deref(), &self.message).or(elsewhere)
    }

    /// How to fix the cause of the error, if it is known.
    pub(in crate::origin) fn advice(&self) -> Option<String> {
        self.cause().map(|cause| cause.advice(self.bucket_region.as_deref()))
    }

    pub(super) fn into_store_error(self) -> StoreError {
        let (status, cause, bytes) = (self.status, self.cause(), self.object_bytes.unwrap_or_default());
        let source: BoxError = Box::new(self);
        match (status, cause) {
            (_, Some(Cause::ClockSkew)) => StoreError::ClockSkew { source },
            (429 | 500.., _) | (_, Some(Cause::Throttled)) => StoreError::Unavailable { source },
            (401 | 403, None) => StoreError::Forbidden { source },
            (412, _) => StoreError::Replaced,
            (416, _) => StoreError::RangeNotSatisfiable { bytes },
            _ => StoreError::Other { source },
        }
    }
}

/// S3 rejects signatures whose time differs from its clock by more than this (Amazon S3 API Reference, "Error
/// responses", `RequestTimeTooSkewed`).
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// Error codes after which the request should be retried, regardless of the status.
const TRANSIENT_CODES: [&str; 8] = [
    "BandwidthLimitExceeded",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
];

impl fmt::Display for S3ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, message, bucket_region, .. } = self;
        write!(f, "S3 answered {status}")?;
        if let Some(code) = code {
            write!(f, " {code}: {message}")?;
        }
        match bucket_region {
            Some(region) if matches!(status, 301 | 307 | 400) => write!(f, " (the bucket is in {region}: s3.region)"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for S3ErrorResponse {}

/// `<Error><Code>NoSuchKey</Code><Message>...</Message>...</Error>`
#[derive(Debug, Default)]
struct ErrorDocument {
    code: String,
    message: String,
    /// The region of the bucket, if the request was signed for another one.
    region: String,
}

impl ErrorDocument {
    fn parse(xml: &str) -> Self {
        let mut reader = Reader::from_str(xml);
        let mut document = Self::default();
        let mut path = Vec::<Vec<u8>>::new();
        // A truncated document is parsed up to its end.
        while let Ok(event) = reader.read_event() {
            let text = match path.as_slice() {
                [error, name] if error == b"Error" => match name.as_slice() {
                    b"Code" => &mut document.code,
                    b"Message" => &mut document.message,
                    b"Region" => &mut document.region,
                    _ => &mut String::new(),
                },
                _ => &mut String::new(),
            };
            match event {
                Event::Start(start) => path.push(start.local_name().as_ref().to_vec()),
                Event::End(_) => drop(path.pop()),
                Event::Text(part) => text.push_str(&part.decode().unwrap_or_default()),
                Event::CData(part) => text.push_str(&part.decode().unwrap_or_default()),
                Event::GeneralRef(entity) => {
                    let name = entity.decode().unwrap_or_default();
                    text.push_str(quick_xml::escape::resolve_predefined_entity(&name).unwrap_or_default());
                }
                Event::Eof => break,
                _ => {}
            }
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_read_from_the_error_document() {
        let table = [
            (
                "<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code><Message>a &amp; b</Message><Key><Code>x</Code></Key></Error>",
                Some("NoSuchKey"),
                "a & b",
            ),
            ("<Error xmlns=\"urn:s3\"><Message>m</Message><Code><![CDATA[SlowDown]]></Code>", Some("SlowDown"), "m"),
            ("<html><Code>NoSuchKey</Code></html>", None, ""),
            ("<Error><Code></Code></Error>", None, ""),
            ("<Error><Code>Acc", Some("Acc"), ""),
            ("Bad Gateway", None, ""),
            ("", None, ""),
        ];
        for (xml, code, message) in table {
            let found = ErrorDocument::parse(xml);
            assert_eq!((found.code.as_str(), found.message.as_str()), (code.unwrap_or_default(), message), "{xml}");
        }
    }

    fn response(status: u16, code: Option<&str>, headers: &[(&str, &'static str)]) -> S3ErrorResponse {
        let header = |name: &str| headers.iter().find(|(named, _)| *named == name).map(|(_, value)| *value);
        S3ErrorResponse::new(status, code.map(str::to_owned), header)
    }

    #[test]
    fn the_region_of_a_bucket_elsewhere_is_named() {
        let headers = [("x-amz-bucket-region", "eu-west-1")];
        let moved =
            S3ErrorResponse { message: "Elsewhere.".into(), ..response(301, Some("PermanentRedirect"), &headers) };
        let text = "S3 answered 301 PermanentRedirect: Elsewhere. (the bucket is in eu-west-1: s3.region)";
        assert_eq!(moved.to_string(), text);
        assert_eq!(response(403, None, &headers).to_string(), "S3 answered 403");
    }

    #[test]
    fn status_code_and_clock_decide_the_store_error() {
        let long_ago = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        let cached = [long_ago[0], ("age", "9")];
        let table = [
            (response(403, Some("AccessDenied"), &[]), "Forbidden"),
            (response(401, None, &cached), "Forbidden"),
            (response(403, None, &long_ago), "ClockSkew"),
            (response(403, Some("RequestTimeTooSkewed"), &[]), "ClockSkew"),
            (
                response(416, Some("InvalidRange"), &[("content-range", "bytes */4711")]),
                "RangeNotSatisfiable { bytes: 4711 }",
            ),
            (response(429, None, &[]), "Unavailable"),
            (response(503, Some("SlowDown"), &long_ago), "Unavailable"),
            (response(412, Some("PreconditionFailed"), &[]), "Replaced"),
            (response(301, Some("PermanentRedirect"), &[]), "Other"),
            (response(403, Some("InvalidObjectState"), &[]), "Other"),
            (response(403, Some("SignatureDoesNotMatch"), &[]), "Other"),
            (response(404, Some("NoSuchBucket"), &[]), "Other"),
        ];
        for (response, expected) in table {
            let error = format!("{:?}", response.clone().into_store_error());
            assert!(error.starts_with(expected), "{response:?}: {error}");
            assert!(!response.is_not_found(), "{response:?}");
        }
        assert!(response(404, None, &[]).is_not_found() && response(404, Some("NoSuchKey"), &[]).is_not_found());
    }

    #[test]
    fn transient_errors_are_recognized_by_status_or_code() {
        for (status, code) in [(500, None), (503, Some("SlowDown")), (429, None), (400, Some("RequestTimeout"))] {
            assert!(response(status, code, &[]).is_transient(), "{status} {code:?}");
        }
        for (status, code) in [(501, None), (403, Some("AccessDenied")), (404, None), (301, Some("PermanentRedirect"))]
        {
            assert!(!response(status, code, &[]).is_transient(), "{status} {code:?}");
        }
    }

    #[test]
    fn the_store_may_ask_for_a_pause() {
        let response = response(503, None, &[("x-amz-retry-after", "250")]);
        assert_eq!(response.retry_after, Some(Duration::from_millis(250)));
    }
}
