//! Rejects requests whose host or length is ambiguous.
//!
//! RFC 9112 allows a server to accept some of these requests, and hyper accepts them. They are dangerous if another
//! proxy in front of this server interprets them differently.

use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{Method, Request, Version};

use crate::proxy::error::RequestError;

/// # Errors
/// [`RequestError::BadRequest`] for an HTTP/1.1 request without exactly one `Host` (RFC 9112 section 3.2), and for a
/// GET or HEAD with a body, which has no meaning and has been used to smuggle requests (RFC 9110 section 9.3.1).
pub(in crate::proxy) fn validate<B>(request: &Request<B>) -> Result<(), RequestError> {
    let headers = request.headers();
    if request.version() == Version::HTTP_11 {
        let mut hosts = headers.get_all(HOST).iter();
        if hosts.next().is_none() || hosts.next().is_some() {
            return Err(RequestError::BadRequest("an HTTP/1.1 request needs exactly one Host header"));
        }
    }
    let forbids_body = matches!(*request.method(), Method::GET | Method::HEAD);
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if forbids_body && has_body {
        return Err(RequestError::BadRequest("a GET or HEAD request must not have a body"));
    }
    Ok(())
}
