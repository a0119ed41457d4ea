//! What S3 says where it does not do what it was asked to.

use std::fmt;
use std::time::{Duration, SystemTime};

use http::Response;
use http_body_util::{BodyExt, Limited};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::origin::error::{BoxError, StoreError};
use crate::support::https::Incoming;

/// An answer that is none.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    /// Such as `NoSuchKey`. Without a body there is none, and to a HEAD there is no body.
    pub(super) code: Option<String>,
    message: String,
    /// Where the bucket is, if it is not here.
    region: Option<String>,
    /// How long the object is where no byte of a range is in it.
    whole_length: Option<u64>,
    /// What the store's clock says.
    date: Option<SystemTime>,
    /// When it wants to be asked again.
    pub(super) retry_after: Option<Duration>,
}

/// Errors of S3 have less than one; what is longer is no answer of S3's, and is not read on.
const BYTES_MAX: usize = 64 << 10;

impl Refusal {
    /// What `response` says. A body that cannot be had or understood says nothing.
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let text = Limited::new(body, BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
        let (code, message) = code_and_message(&String::from_utf8_lossy(&text.unwrap_or_default()));
        let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        Self { message, ..Self::of(head.status.as_u16(), code, header) }
    }

    /// What status, code and headers say.
    pub(super) fn of<'a>(status: u16, code: Option<String>, header: impl Fn(&'static str) -> Option<&'a str>) -> Self {
        // A cache's date is of when it got the answer.
        let date = header("date").filter(|_| header("age").is_none());
        Self {
            status,
            code,
            message: String::new(),
            region: header("x-amz-bucket-region").map(str::to_owned),
            whole_length: header("content-range").and_then(|range| range.strip_prefix("bytes */")?.parse().ok()),
            date: date.and_then(|date| httpdate::parse_http_date(date).ok()),
            retry_after: header("x-amz-retry-after").and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
        }
    }

    /// Whether it says that there is no such object; a bucket that is not there is an error.
    pub(super) fn is_absence(&self) -> bool {
        self.status == 404 && self.code.as_deref() != Some("NoSuchBucket")
    }

    /// The store's time, if it refuses for the time of the request: by its code, or where an answer has no body, by its clock.
    pub(super) fn other_time(&self) -> Option<SystemTime> {
        let theirs = self.date.filter(|_| matches!(self.status, 401 | 403))?;
        let ours = SystemTime::now();
        let apart = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default();
        Some(theirs).filter(|_| apart > SKEW_MAX)
    }

    /// What it means; `source` is it, with what is around it.
    pub(super) fn means(&self, source: BoxError) -> StoreError {
        let is_skewed = self.code.as_deref() == Some("RequestTimeTooSkewed") || self.other_time().is_some();
        match self.status {
            401 | 403 if is_skewed => StoreError::ClockSkew { source },
            401 | 403 => StoreError::Forbidden { source },
            416 => StoreError::RangeNotSatisfiable { bytes: self.whole_length.unwrap_or_default() },
            429 | 500.. => StoreError::Unavailable { source },
            _ => StoreError::Other { source },
        }
    }
}

/// What S3 puts up with (Amazon S3 API Reference, "Error responses", RequestTimeTooSkewed).
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, message, region, .. } = self;
        write!(f, "S3 answered {status}")?;
        if let Some(code) = code {
            write!(f, " {code}: {message}")?;
        }
        match region {
            Some(region) if matches!(status, 301 | 307 | 400) => write!(f, " (the bucket is in {region}: s3.region)"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

/// Of S3's XML: `<Error><Code>NoSuchKey</Code><Message>...</Message>...</Error>`.
fn code_and_message(xml: &str) -> (Option<String>, String) {
    let mut reader = Reader::from_str(xml);
    let (mut code, mut message) = (String::new(), String::new());
    let mut path = Vec::new();
    // An error ends it as its end does: what was understood so far counts.
    while let Ok(event) = reader.read_event() {
        let text = match path.as_slice() {
            [error, name] if error == b"Error" && name == b"Code" => &mut code,
            [error, name] if error == b"Error" && name == b"Message" => &mut message,
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
    (Some(code).filter(|code| !code.is_empty()), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_are_those_of_the_error_and_of_nothing_else() {
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
            let found = code_and_message(xml);
            assert_eq!((found.0.as_deref(), found.1.as_str()), (code, message), "{xml}");
        }
    }

    fn refusal(status: u16, code: Option<&str>, headers: &[(&str, &'static str)]) -> Refusal {
        let header = |name: &str| headers.iter().find(|(named, _)| *named == name).map(|(_, value)| *value);
        Refusal::of(status, code.map(str::to_owned), header)
    }

    #[test]
    fn a_bucket_elsewhere_is_told_with_its_region() {
        let headers = [("x-amz-bucket-region", "eu-west-1")];
        let moved = Refusal { message: "Elsewhere.".into(), ..refusal(301, Some("PermanentRedirect"), &headers) };
        let text = "S3 answered 301 PermanentRedirect: Elsewhere. (the bucket is in eu-west-1: s3.region)";
        assert_eq!(moved.to_string(), text);
        assert_eq!(refusal(403, None, &headers).to_string(), "S3 answered 403");
    }

    #[test]
    fn what_a_refusal_means_is_told_by_its_status_its_code_and_its_clock() {
        let long_ago = [("date", "Sun, 06 Nov 1994 08:49:37 GMT")];
        let cached = [long_ago[0], ("age", "9")];
        let table = [
            (refusal(403, Some("AccessDenied"), &[]), "Forbidden"),
            (refusal(401, None, &cached), "Forbidden"),
            (refusal(403, None, &long_ago), "ClockSkew"),
            (refusal(403, Some("RequestTimeTooSkewed"), &[]), "ClockSkew"),
            (
                refusal(416, Some("InvalidRange"), &[("content-range", "bytes */4711")]),
                "RangeNotSatisfiable { bytes: 4711 }",
            ),
            (refusal(429, None, &[]), "Unavailable"),
            (refusal(503, Some("SlowDown"), &long_ago), "Unavailable"),
            (refusal(301, Some("PermanentRedirect"), &[]), "Other"),
            (refusal(404, Some("NoSuchBucket"), &[]), "Other"),
        ];
        for (refusal, expected) in table {
            let meaning = format!("{:?}", refusal.means("it".into()));
            assert!(meaning.starts_with(expected), "{refusal:?}: {meaning}");
            assert!(!refusal.is_absence(), "{refusal:?}");
        }
        assert!(refusal(404, None, &[]).is_absence() && refusal(404, Some("NoSuchKey"), &[]).is_absence());
    }

    #[test]
    fn it_is_asked_again_when_it_says() {
        let refusal = refusal(503, None, &[("x-amz-retry-after", "250")]);
        assert_eq!(refusal.retry_after, Some(Duration::from_millis(250)));
    }
}
