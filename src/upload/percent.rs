//! Percent-encoding of keys in URLs and of form fields in metadata.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All characters but the unreserved ones of RFC 3986 section 2.3, which need no encoding in paths and header values.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes a value so that it is safe in a header.
pub(super) fn encode(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// Returns the URL path of an object key. Slashes are not encoded.
pub(super) fn url_path(key: &str) -> String {
    key.split('/').map(|segment| format!("/{}", utf8_percent_encode(segment, RESERVED))).collect()
}
