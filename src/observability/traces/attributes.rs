//! Attribute values with a bounded length or a bounded set of values.

/// Longest path or URL in an attribute. Object keys are shorter, but paths that name no object can be longer.
const URL_BYTES_MAX: usize = 2048;

/// Name that OpenTelemetry defines for all methods that are not well known.
pub(super) const OTHER_METHOD: &str = "_OTHER";

/// Returns `method` if it is well known, else [`OTHER_METHOD`], so that clients cannot create new attribute values.
pub(super) fn method_name(method: &str) -> &'static str {
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"];
    methods.into_iter().find(|known| *known == method).unwrap_or(OTHER_METHOD)
}

/// Cuts a path or URL to at most [`URL_BYTES_MAX`] bytes.
pub(super) fn truncate(url: &str) -> String {
    url[..url.floor_char_boundary(URL_BYTES_MAX)].to_owned()
}
