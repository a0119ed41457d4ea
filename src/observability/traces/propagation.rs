//! The headers of W3C Trace Context, which connect a request to the trace of its client.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Content of a `traceparent` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TraceParent {
    trace: TraceId,
    span: SpanId,
    pub(super) is_sampled: bool,
}

/// Longest `tracestate` that is passed on: the minimum that the standard requires. Each span keeps a copy of it.
const STATE_BYTES_MAX: usize = 512;

/// Reads the `traceparent` header. Returns `None` if it is missing, repeated or invalid.
pub(super) fn read(headers: &HeaderMap) -> Option<TraceParent> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => parse(value.as_bytes()),
        _ => None,
    }
}

/// Parses `00-{32 digits}-{16 digits}-{2 digits}` in lower-case hexadecimal. Later versions may append more fields.
fn parse(text: &[u8]) -> Option<TraceParent> {
    let (version, rest) = text.split_at_checked(2)?;
    let (version, rest) = (hex(version)?, rest.strip_prefix(b"-")?);
    let (trace, rest) = rest.split_at_checked(32)?;
    let (span, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let (flags, rest) = rest.strip_prefix(b"-")?.split_at_checked(2)?;
    if version == 0xff || !(rest.is_empty() || version > 0 && rest.starts_with(b"-")) {
        return None;
    }
    let (trace, span) = (TraceId::from(hex(trace)?), SpanId::from(u64::try_from(hex(span)?).ok()?));
    let is_sampled = hex(flags)? & 1 == 1;
    (trace != TraceId::INVALID && span != SpanId::INVALID).then_some(TraceParent { trace, span, is_sampled })
}

fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

impl TraceParent {
    /// Returns the remote span, with the `tracestate` of `headers`.
    pub(super) fn context(&self, headers: &HeaderMap) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.is_sampled);
        SpanContext::new(self.trace, self.span, flags, true, state(headers))
    }
}

fn state(headers: &HeaderMap) -> TraceState {
    let values: Vec<_> = headers.get_all(TRACESTATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let state = values.join(",");
    if state.len() > STATE_BYTES_MAX { TraceState::default() } else { state.parse().unwrap_or_default() }
}

/// Adds headers that name `span` as the parent of an outgoing request, if `span` is valid.
pub(super) fn write(span: &SpanContext, headers: &mut HeaderMap) {
    if !span.is_valid() {
        return;
    }
    let flags = if span.is_sampled() { "01" } else { "00" };
    let parent = format!("00-{}-{}-{flags}", span.trace_id(), span.span_id());
    if let Ok(parent) = HeaderValue::try_from(parent) {
        headers.insert(TRACEPARENT, parent);
    }
    let state = span.trace_state().header();
    if let (false, Ok(state)) = (state.is_empty(), HeaderValue::try_from(state)) {
        headers.insert(TRACESTATE, state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn trace_context_survives_a_round_trip() {
        let sent = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, "a=1,b@c=2"), (TRACESTATE, "d=3")]);
        let parent = read(&sent).unwrap();
        assert!(parent.is_sampled);
        let mut written = HeaderMap::new();
        write(&parent.context(&sent), &mut written);
        assert_eq!(
            [TRACEPARENT, TRACESTATE].map(|name| written[name].to_str().unwrap().to_owned()),
            [PARENT, "a=1,b@c=2,d=3"]
        );
        let unsampled = PARENT.replace("-01", "-00");
        assert!(!parse(unsampled.as_bytes()).unwrap().is_sampled);
        let mut none = HeaderMap::new();
        write(&SpanContext::empty_context(), &mut none);
        assert!(none.is_empty());
    }

    #[test]
    fn invalid_traceparents_are_ignored() {
        for text in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "0-00af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
        ] {
            assert_eq!(read(&headers(&[(TRACEPARENT, text)])), None, "{text}");
        }
        assert_eq!(read(&headers(&[(TRACEPARENT, PARENT), (TRACEPARENT, PARENT)])), None, "repeated header");
        assert!(read(&headers(&[(TRACEPARENT, &PARENT.replacen("00", "01", 1))])).is_some());
        assert!(read(&headers(&[(TRACEPARENT, &format!("{}-more", PARENT.replacen("00", "cc", 1)))])).is_some());
    }

    #[test]
    fn long_or_invalid_tracestates_are_not_passed_on() {
        for state in [format!("a={}", "1".repeat(STATE_BYTES_MAX)), "a".into(), "a=1,".repeat(200)] {
            let sent = headers(&[(TRACEPARENT, PARENT), (TRACESTATE, &state)]);
            let mut written = HeaderMap::new();
            write(&read(&sent).unwrap().context(&sent), &mut written);
            assert!(written.contains_key(TRACEPARENT) && !written.contains_key(TRACESTATE), "{state}");
        }
    }
}
