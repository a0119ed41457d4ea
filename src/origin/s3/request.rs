//! A request to S3, before it is signed.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::origin::error::StoreError;
use crate::origin::object::{Attributes, Precondition};

#[derive(Debug, Clone)]
pub(super) struct S3Request {
    pub(super) method: Method,
    /// Percent-encoded, with the query.
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Prefix of the headers with user metadata.
pub(super) const METADATA_PREFIX: &str = "x-amz-meta-";

/// All bytes but RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl S3Request {
    pub(super) fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    /// Adds a parameter to the query.
    pub(super) fn with_query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        self.url.push_str(name);
        self.url.push('=');
        self.url.extend(utf8_percent_encode(value, QUERY));
        self
    }

    /// # Errors
    /// A header cannot hold `value`.
    pub(super) fn with_header(mut self, name: HeaderName, value: &str) -> Result<Self, StoreError> {
        // Not only ASCII: S3 takes metadata in UTF-8.
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(StoreError::other)?;
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(super) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// # Errors
    /// A header cannot hold a name or value.
    pub(super) fn with_attributes(mut self, attributes: &Attributes) -> Result<Self, StoreError> {
        self = self.with_header(CONTENT_TYPE, &attributes.content_type)?;
        if !attributes.cache_control.is_empty() {
            self = self.with_header(CACHE_CONTROL, &attributes.cache_control)?;
        }
        for (name, value) in &attributes.metadata {
            let name = HeaderName::try_from(format!("{METADATA_PREFIX}{name}")).map_err(StoreError::other)?;
            self = self.with_header(name, value)?;
        }
        Ok(self)
    }

    /// # Errors
    /// The ETag cannot be sent in a header.
    pub(super) fn with_precondition(self, precondition: &Precondition) -> Result<Self, StoreError> {
        match precondition {
            Precondition::None => Ok(self),
            Precondition::Absent => self.with_header(IF_NONE_MATCH, "*"),
            Precondition::Matches(etag) => self.with_header(IF_MATCH, etag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded_as_signatures_need_them() {
        let request = S3Request::new(Method::GET, "http://s3/bucket".into());
        let request = request.with_query("list-type", "2").with_query("prefix", "a/b ä+~");
        assert_eq!(request.url, "http://s3/bucket?list-type=2&prefix=a%2Fb%20%C3%A4%2B~");
    }
}
