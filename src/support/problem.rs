//! Problem details (RFC 9457), the body of error responses.

use http::{HeaderValue, StatusCode};
use serde::Serialize;

/// Media type of [`Problem::to_json`].
pub const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// An error to report to a client.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    pub status: StatusCode,
    /// Last part of the URN that identifies the type of the problem.
    pub name: &'a str,
    /// Tells the client what to correct, or when to retry.
    pub detail: &'a str,
}

/// Members of the JSON object (RFC 9457 section 3.1).
#[derive(Serialize)]
struct Members<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem<'_> {
    /// Encodes the problem as a response body.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let members = Members {
            r#type: format!("urn:resized:problem:{}", self.name),
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: self.detail,
        };
        serde_json::to_vec(&members).unwrap_or_default()
    }
}
