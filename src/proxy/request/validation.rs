//! Rejects HTTP/2 requests whose host or length is ambiguous. HTTP/1 requests have passed the
//! [`RequestFilter`](crate::support::request_filter::RequestFilter).

use http::header::{CONTENT_LENGTH, HOST};
use http::{Method, Request, Version};

use crate::proxy::error::RequestError;
use crate::support::authority;
use crate::support::request_filter::Refusal;

/// # Errors
/// [`Refusal::BadRequest`] for an HTTP/2 request without a valid host, with two different ones (RFC 9113 section 8.3.1),
/// and for a GET or HEAD with a body, which has no meaning (RFC 9110 section 9.3.1).
pub(in crate::proxy) fn validate<B>(request: &Request<B>) -> Result<(), RequestError> {
    if request.version() == Version::HTTP_2 { check(request).map_err(RequestError::from) } else { Ok(()) }
}

fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    let headers = request.headers();
    let mut hosts = headers.get_all(HOST).iter();
    let (authority, host) = (request.uri().authority(), hosts.next());
    if hosts.next().is_some() {
        return Err(Refusal::BadRequest("the request has more than one Host header"));
    }
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    let host = host.map(|host| host.as_bytes());
    match (authority, host) {
        (None, None) => return Err(Refusal::BadRequest("the request needs :authority or a Host header")),
        (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
            return Err(Refusal::BadRequest(":authority and the Host header differ"));
        }
        (Some(name), _) | (None, Some(name)) if !authority::is_valid(name) => {
            return Err(Refusal::BadRequest("the host is not a name or address with an optional port"));
        }
        _ => {}
    }
    let forbids_body = matches!(*request.method(), Method::GET | Method::HEAD);
    if forbids_body && headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0") {
        return Err(Refusal::BadRequest("a GET or HEAD request must not have a body"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_accepted(uri: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::get(uri).version(Version::HTTP_2);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        validate(&request.body(()).unwrap()).is_ok()
    }

    #[test]
    fn authority_and_host_must_agree() {
        assert!(is_accepted("http://a.example/cat.jpg", &[]));
        assert!(is_accepted("/cat.jpg", &[("host", "a.example:80")]));
        assert!(is_accepted("http://a.example/cat.jpg", &[("host", "A.example")]));
        assert!(!is_accepted("/cat.jpg", &[]));
        assert!(!is_accepted("http://a.example/cat.jpg", &[("host", "b.example")]));
        assert!(!is_accepted("http://a.example/cat.jpg", &[("host", "a.example:80")]));
        assert!(!is_accepted("http://a.example/cat.jpg", &[("host", "a.example"), ("host", "a.example")]));
        assert!(!is_accepted("http://u@a.example/cat.jpg", &[]));
        assert!(!is_accepted("/cat.jpg", &[("host", "a b")]));
        assert!(!is_accepted("/cat.jpg", &[("host", "")]));
    }

    #[test]
    fn a_get_has_no_body() {
        assert!(is_accepted("http://a/cat.jpg", &[("content-length", "0")]));
        assert!(!is_accepted("http://a/cat.jpg", &[("content-length", "5")]));
    }
}
