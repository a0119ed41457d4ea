//! Formats one access log line. This module does not know where lines are written.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::header::{CONTENT_LENGTH, HeaderName, REFERER, USER_AGENT};
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::config::AccessFormat;
use crate::support::url_secrets::{mask_target, mask_text};

/// Formats timestamps. It caches the text of the current second, because most lines differ only in the milliseconds.
#[derive(Debug, Default)]
pub(super) struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    fn now(&mut self, format: AccessFormat) -> &str {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        match format {
            AccessFormat::Combined => self.second_at(now),
            AccessFormat::AsEvents | AccessFormat::Text | AccessFormat::Json => self.millisecond_at(now),
        }
    }

    /// Formats the time as in RFC 3339, with milliseconds.
    fn millisecond_at(&mut self, since_epoch: Duration) -> &str {
        self.update_second(since_epoch, |second| humantime::format_rfc3339_millis(second).to_string());
        self.text.truncate(self.text.len() - "000Z".len());
        push_thousandths(since_epoch.subsec_millis(), &mut self.text);
        self.text.push('Z');
        &self.text
    }

    /// Formats the time as Apache does: `10/Oct/2000:13:55:36 +0000`.
    fn second_at(&mut self, since_epoch: Duration) -> &str {
        self.update_second(since_epoch, |second| {
            // Sun, 06 Nov 1994 08:49:37 GMT
            let date = httpdate::fmt_http_date(second);
            format!("{}/{}/{}:{} +0000", &date[5..7], &date[8..11], &date[12..16], &date[17..25])
        });
        &self.text
    }

    /// Calls `format` if the second has changed.
    fn update_second(&mut self, since_epoch: Duration, format: impl Fn(SystemTime) -> String) {
        if self.second != since_epoch.as_secs() || self.text.is_empty() {
            self.second = since_epoch.as_secs();
            self.text = format(SystemTime::UNIX_EPOCH + Duration::from_secs(self.second));
        }
    }
}

/// Facts about a request that are known once its response header is ready.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) client: IpAddr,
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) version: Version,
    pub(super) request_headers: &'a HeaderMap,
    pub(super) status: StatusCode,
    pub(super) response_headers: &'a HeaderMap,
    pub(super) elapsed: Duration,
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Lines are assembled with `push_str`, since `write!` would cost more than the rest of the line.
impl Line<'_> {
    /// Appends the line, including its line break.
    pub(super) fn push(&self, format: AccessFormat, clock: &mut Clock, out: &mut String) {
        let time = clock.now(format);
        match format {
            AccessFormat::AsEvents | AccessFormat::Text => self.text(time, out),
            AccessFormat::Json => self.json(time, out),
            AccessFormat::Combined => self.combined(time, out),
        }
    }

    /// True if the response came from memory.
    pub(super) fn is_hit(&self) -> bool {
        self.response_headers.get(CACHE_STATUS).is_some_and(|status| status == "resized; hit")
    }

    /// Appends a line in the Combined Log Format of Apache and nginx: `client - - [time] "request" status bytes
    /// "referer" "user agent"`.
    fn combined(&self, time: &str, out: &mut String) {
        push_address(self.client, out);
        out.push_str(" - - [");
        out.push_str(time);
        out.push_str("] \"");
        out.push_str(self.method.as_str());
        out.push(' ');
        push_quotable(self.target().as_bytes(), out);
        out.push_str(match self.version {
            Version::HTTP_2 => " HTTP/2.0\" ",
            Version::HTTP_10 => " HTTP/1.0\" ",
            _ => " HTTP/1.1\" ",
        });
        out.push_str(self.status.as_str());
        out.push(' ');
        out.push_str(self.header(&CONTENT_LENGTH).unwrap_or("-"));
        let header = |name| self.request_headers.get(name).map_or(&b"-"[..], |value| value.as_bytes());
        // The URL of the page may contain secrets too.
        let referer = str::from_utf8(header(REFERER)).map_or(Cow::Borrowed("-"), mask_text);
        for value in [referer.as_bytes(), header(USER_AGENT)] {
            out.push_str(" \"");
            push_quotable(value, out);
            out.push('"');
        }
        out.push('\n');
    }

    /// Appends a line of text: `time client method target status bytes ms "cache status"`.
    fn text(&self, time: &str, out: &mut String) {
        out.push_str(time);
        out.push(' ');
        push_address(self.client, out);
        for part in [self.method.as_str(), &self.target(), self.status.as_str()] {
            out.push(' ');
            out.push_str(part);
        }
        out.push(' ');
        out.push_str(self.header(&CONTENT_LENGTH).unwrap_or("-"));
        out.push(' ');
        self.push_ms(out);
        out.push_str(" \"");
        out.push_str(self.header(&CACHE_STATUS).unwrap_or("-"));
        out.push_str("\"\n");
    }

    fn json(&self, time: &str, out: &mut String) {
        // Only the URI, which the client chose, may need escaping.
        for (name, value) in [(r#"{"time":""#, time), (r#"","method":""#, self.method.as_str())] {
            out.push_str(name);
            out.push_str(value);
        }
        out.push_str(r#"","client":""#);
        push_address(self.client, out);
        out.push_str(r#"","uri":"#);
        push_json(&self.target(), out);
        out.push_str(r#","status":"#);
        out.push_str(self.status.as_str());
        if let Some(bytes) = self.header(&CONTENT_LENGTH) {
            out.push_str(r#","bytes":"#);
            out.push_str(bytes);
        }
        out.push_str(r#","ms":"#);
        self.push_ms(out);
        if let Some(cache) = self.header(&CACHE_STATUS) {
            out.push_str(r#","cache":""#);
            out.push_str(cache);
            out.push('"');
        }
        out.push_str("}\n");
    }

    /// The path and query. Readers of the log cannot use the signatures in it.
    fn target(&self) -> Cow<'_, str> {
        mask_target(self.uri.path_and_query().map_or("-", http::uri::PathAndQuery::as_str))
    }

    fn push_ms(&self, out: &mut String) {
        let micros = self.elapsed.as_micros();
        push_number(u64::try_from(micros / 1000).unwrap_or(u64::MAX), out);
        out.push('.');
        push_thousandths(self.elapsed.subsec_micros() % 1000, out);
    }

    fn header(&self, name: &HeaderName) -> Option<&str> {
        self.response_headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn push_address(address: IpAddr, out: &mut String) {
    match address {
        IpAddr::V4(address) => {
            for (n, octet) in address.octets().into_iter().enumerate() {
                if n > 0 {
                    out.push('.');
                }
                push_number(octet.into(), out);
            }
        }
        // IPv6 addresses are rarer, and their text form (RFC 5952) is too complex to write by hand.
        IpAddr::V6(address) => out.push_str(&address.to_string()),
    }
}

/// Appends the content of a quoted string. Quotes, backslashes and bytes that are not printable ASCII are escaped as
/// Apache does.
fn push_quotable(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(byte)]),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => {
                let digit = |n: u8| char::from_digit(n.into(), 16).unwrap_or('0');
                out.extend(['\\', 'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
}

/// Appends a JSON string (RFC 8259 section 7).
fn push_json(text: &str, out: &mut String) {
    let plain = |byte: u8| (b' '..0x7F).contains(&byte) && !matches!(byte, b'"' | b'\\');
    if text.bytes().all(plain) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::Value::from(text).to_string());
    }
}

fn push_number(number: u64, out: &mut String) {
    out.push_str(itoa::Buffer::new().format(number));
}

/// Appends exactly three digits.
fn push_thousandths(number: u32, out: &mut String) {
    let digit = |n: u32| char::from_digit(n % 10, 10).unwrap_or('0');
    out.extend([digit(number / 100), digit(number / 10), digit(number)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(write: impl Fn(&Line<'_>, &mut String)) -> String {
        let mut response_headers = HeaderMap::new();
        response_headers.insert(CONTENT_LENGTH, 1234.into());
        response_headers.insert(CACHE_STATUS, "resized; hit".parse().unwrap());
        let mut request_headers = HeaderMap::new();
        request_headers.insert(USER_AGENT, http::HeaderValue::from_bytes(b"a \"b\" \xe9").unwrap());
        let uri = Uri::from_static("/a\"b_300x200.jpg?v=1");
        let line = Line {
            client: IpAddr::from([192, 0, 2, 1]),
            method: &Method::GET,
            uri: &uri,
            status: StatusCode::OK,
            version: http::Version::HTTP_11,
            request_headers: &request_headers,
            response_headers: &response_headers,
            elapsed: Duration::from_micros(1500),
        };
        let mut text = String::new();
        write(&line, &mut text);
        text
    }

    #[test]
    fn json_lines_are_valid_json_for_any_path() {
        let text = line_of(|line, text| line.json("1970-01-01T00:00:00.000Z", text));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["uri"], &value["client"]), (&"/a\"b_300x200.jpg?v=1".into(), &"192.0.2.1".into()));
        assert_eq!((&value["status"], &value["bytes"], &value["ms"]), (&200.into(), &1234.into(), &1.5.into()));
        assert_eq!(value["cache"], "resized; hit");
    }

    #[test]
    fn text_lines_have_their_fields_in_order() {
        let text = line_of(|line, text| line.text("1970-01-01T00:00:00.000Z", text));
        let expected = "1970-01-01T00:00:00.000Z 192.0.2.1 GET /a\"b_300x200.jpg?v=1 200 1234 1.500 \"resized; hit\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn signatures_and_other_secrets_in_urls_are_masked() {
        let mut request_headers = HeaderMap::new();
        request_headers.insert(REFERER, "https://me:hush@a.example/?token=hush".parse().unwrap());
        let line = Line {
            client: IpAddr::from([192, 0, 2, 1]),
            method: &Method::GET,
            uri: &Uri::from_static("/a?expires=9&signature=hush"),
            status: StatusCode::OK,
            version: http::Version::HTTP_11,
            request_headers: &request_headers,
            response_headers: &HeaderMap::new(),
            elapsed: Duration::ZERO,
        };
        for format in [AccessFormat::Text, AccessFormat::Json, AccessFormat::Combined] {
            let mut text = String::new();
            line.push(format, &mut Clock::default(), &mut text);
            assert!(text.contains("/a?expires=9&signature=***") && !text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn combined_lines_match_the_format_of_apache() {
        let request = r#"192.0.2.1 - - [01/Jan/1970:00:00:00 +0000] "GET /a\"b_300x200.jpg?v=1 HTTP/1.1" 200 1234"#;
        let time = Clock::default().second_at(Duration::ZERO).to_owned();
        let combined = format!("{request}{}", " \"-\" \"a \\\"b\\\" \\xe9\"\n");
        assert_eq!(line_of(|line, text| line.combined(&time, text)), combined);
    }

    #[test]
    fn addresses_match_the_standard_library_format() {
        for address in ["0.0.0.0", "192.0.2.1", "255.255.255.255", "::1", "2001:db8::a:1"] {
            let mut text = String::new();
            push_address(address.parse().unwrap(), &mut text);
            assert_eq!(text, address);
        }
    }

    #[test]
    fn clock_formats_every_millisecond_of_every_second() {
        let mut clock = Clock::default();
        for millis in [0, 7, 999, 1000, 1_700_000_000_123, 1_700_000_000_124, 1_700_000_059_999] {
            let time = Duration::from_millis(millis);
            let expected = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + time).to_string();
            assert_eq!(clock.millisecond_at(time), expected);
        }
    }
}
