//! Error responses of S3.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Response;
use http_body_util::{BodyExt, Limited};

use super::xml::text_of;
use crate::origin::error::StoreError;
use crate::support::https::Incoming;

/// Why a request to S3 has failed.
#[derive(Debug)]
pub(super) enum S3Error {
    /// S3 answered with an error.
    Response(S3ErrorResponse),
    /// There is no complete response.
    Store(StoreError),
}

/// An error response from S3.
#[derive(Debug)]
pub(super) struct S3ErrorResponse {
    pub(super) status: u16,
    /// For example `NoSuchKey`; `None` if the response has no body, as one to a HEAD request.
    pub(super) code: Option<String>,
    message: String,
    /// The region of the bucket, if the request was sent to another one.
    bucket_region: Option<String>,
    /// Length of the object, if the requested range is outside of it.
    object_bytes: Option<u64>,
    /// The time of the store's clock.
    date: Option<SystemTime>,
    /// Pause before the next attempt that the store asks for.
    pub(super) retry_after: Option<Duration>,
}

/// Error documents of S3 are less than 1 KiB long. Longer bodies come from other servers and are not read to the end.
const BODY_BYTES_MAX: usize = 64 << 10;

/// S3 rejects signatures that are older or newer than this (Amazon S3 API Reference, "Error responses", `RequestTimeTooSkewed`).
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// Error codes after which the request should be retried, whatever the status is.
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

impl S3Error {
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Response(response) => Some(response.status),
            Self::Store(_) => None,
        }
    }

    /// `Ok` if the error says that there is no such object.
    pub(super) fn or_not_found(self) -> Result<(), StoreError> {
        match self {
            Self::Response(response) if response.is_not_found() => Ok(()),
            error => Err(error.into()),
        }
    }
}

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<S3Error> for StoreError {
    fn from(error: S3Error) -> Self {
        match error {
            S3Error::Response(response) => response.into_store_error(),
            S3Error::Store(error) => error,
        }
    }
}

impl S3ErrorResponse {
    /// Reads the error document of `response`; a body that is not one is ignored.
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let text = Limited::new(body, BODY_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        Self::new(head.status.as_u16(), &String::from_utf8_lossy(&text.unwrap_or_default()), header)
    }

    /// The error document that S3 may send after the header of a 200, when it starts the response before it is done.
    pub(super) fn from_ok_document(xml: &str) -> Option<Self> {
        let code = text_of(xml, "Error/Code")?;
        let status = match code.as_str() {
            "PreconditionFailed" => 412,
            "ConditionalRequestConflict" => 409,
            "InternalError" => 500,
            "SlowDown" => 503,
            _ => 400,
        };
        Some(Self::new(status, xml, |_| None))
    }

    fn new<'a>(status: u16, xml: &str, header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        // The Date of a cached response is that of the original response.
        let date = header("date").filter(|_| header("age").is_none());
        Self {
            status,
            code: text_of(xml, "Error/Code").filter(|code| !code.is_empty()),
            message: text_of(xml, "Error/Message").unwrap_or_default(),
            bucket_region: header("x-amz-bucket-region").map(str::to_owned),
            object_bytes: header("content-range").and_then(|range| range.strip_prefix("bytes */")?.parse().ok()),
            date: date.and_then(|date| httpdate::parse_http_date(date).ok()),
            retry_after: header("x-amz-retry-after").and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
        }
    }

    /// True if there is no such object. A missing bucket is an error.
    pub(super) fn is_not_found(&self) -> bool {
        self.status == 404 && self.code.as_deref() != Some("NoSuchBucket")
    }

    /// True if another attempt may succeed.
    pub(super) fn is_transient(&self) -> bool {
        let code = self.code.as_deref();
        matches!(self.status, 429 | 500 | 502..=504) || code.is_some_and(|code| TRANSIENT_CODES.contains(&code))
    }

    /// The store's time if the request may have been denied because of the clocks. Without a body, the Date header tells.
    pub(super) fn skewed_clock(&self) -> Option<SystemTime> {
        let theirs = self.date.filter(|_| matches!(self.status, 401 | 403))?;
        let ours = SystemTime::now();
        let difference = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default();
        Some(theirs).filter(|_| difference > SKEW_MAX)
    }

    pub(super) fn into_store_error(self) -> StoreError {
        let is_skewed = self.code.as_deref() == Some("RequestTimeTooSkewed") || self.skewed_clock().is_some();
        match self.status {
            401 | 403 if is_skewed => StoreError::ClockSkew { source: self.into() },
            401 | 403 => StoreError::Forbidden { source: self.into() },
            416 => StoreError::RangeNotSatisfiable { bytes: self.object_bytes.unwrap_or_default() },
            429 | 500.. => StoreError::Unavailable { source: self.into() },
            _ => StoreError::other(self),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, xml: &str, headers: &[(&str, &'static str)]) -> S3ErrorResponse {
        let header = |name: &str| headers.iter().find(|(named, _)| *named == name).map(|(_, value)| *value);
        S3ErrorResponse::new(status, xml, header)
    }

    fn with_code(status: u16, code: &str, headers: &[(&str, &'static str)]) -> S3ErrorResponse {
        response(status, &format!("<Error><Code>{code}</Code><Message>No.</Message></Error>"), headers)
    }

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
            let found = response(400, xml, &[]);
            assert_eq!((found.code.as_deref(), found.message.as_str()), (code, message), "{xml}");
        }
    }

    #[test]
    fn an_error_in_the_body_of_a_200_has_the_status_of_its_code() {
        let document = |code: &str| format!("  <Error><Code>{code}</Code></Error>");
        let table = [("InternalError", 500), ("PreconditionFailed", 412), ("MalformedXML", 400)];
        for (code, status) in table {
            assert_eq!(S3ErrorResponse::from_ok_document(&document(code)).unwrap().status, status, "{code}");
        }
        assert!(S3ErrorResponse::from_ok_document("<CompleteMultipartUploadResult/>").is_none());
    }

    #[test]
    fn the_region_of_a_bucket_elsewhere_is_named() {
        let headers = [("x-amz-bucket-region", "eu-west-1")];
        let text = "S3 answered 301 PermanentRedirect: No. (the bucket is in eu-west-1: s3.region)";
        assert_eq!(with_code(301, "PermanentRedirect", &headers).to_string(), text);
        assert_eq!(response(403, "", &headers).to_string(), "S3 answered 403");
    }

    #[test]
    fn status_code_and_clock_decide_the_store_error() {
        let long_ago = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        let cached = [long_ago[0], ("age", "9")];
        let table = [
            (with_code(403, "AccessDenied", &[]), "Forbidden"),
            (response(401, "", &cached), "Forbidden"),
            (response(403, "", &long_ago), "ClockSkew"),
            (with_code(403, "RequestTimeTooSkewed", &[]), "ClockSkew"),
            (
                with_code(416, "InvalidRange", &[("content-range", "bytes */4711")]),
                "RangeNotSatisfiable { bytes: 4711 }",
            ),
            (response(429, "", &[]), "Unavailable"),
            (with_code(503, "SlowDown", &long_ago), "Unavailable"),
            (with_code(301, "PermanentRedirect", &[]), "Other"),
            (with_code(404, "NoSuchBucket", &[]), "Other"),
        ];
        for (response, expected) in table {
            assert!(!response.is_not_found(), "{response:?}");
            let error = format!("{:?}", response.into_store_error());
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(response(404, "", &[]).is_not_found() && with_code(404, "NoSuchKey", &[]).is_not_found());
    }

    #[test]
    fn transient_errors_are_recognized_by_status_or_code() {
        for (status, code) in [(500, ""), (503, "SlowDown"), (429, ""), (400, "RequestTimeout")] {
            assert!(with_code(status, code, &[]).is_transient(), "{status} {code}");
        }
        for (status, code) in [(501, ""), (403, "AccessDenied"), (404, ""), (301, "PermanentRedirect")] {
            assert!(!with_code(status, code, &[]).is_transient(), "{status} {code}");
        }
    }

    #[test]
    fn the_store_may_ask_for_a_pause() {
        let response = response(503, "", &[("x-amz-retry-after", "250")]);
        assert_eq!(response.retry_after, Some(Duration::from_millis(250)));
    }
}
