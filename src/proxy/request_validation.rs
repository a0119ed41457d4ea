//! What makes a request's extent or its addressee ambiguous is refused, whatever it asks for.
//!
//! What hyper has not refused by then: RFC 9112 lets a server take more than one that stands behind other proxies should.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Method, Request, Version};

use super::error::Failure;

/// # Errors
/// [`Failure::BadRequest`] for an HTTP/1.1 request without exactly one `Host` (RFC 9112 section 3.2), and for a GET or
/// HEAD with a body, which has no meaning and has been used to smuggle requests (RFC 9110 section 9.3.1).
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Failure> {
    let headers = request.headers();
    if request.version() == Version::HTTP_11 {
        let mut hosts = headers.get_all(HOST).iter();
        if hosts.next().is_none() || hosts.next().is_some() {
            return Err(Failure::BadRequest("an HTTP/1.1 request has exactly one Host header: send one"));
        }
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if reads && has_body {
        return Err(Failure::BadRequest("a GET or HEAD request has no body here: send it without"));
    }
    Ok(())
}
