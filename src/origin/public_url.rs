//! URLs under which clients reach objects without the proxy.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

use super::error::StoreOpenError;
use crate::support::url_secrets::mask_url;
use crate::variant::ObjectKey;

/// Base URL of a store, without a slash at its end.
#[derive(Debug, Clone)]
pub(super) struct PublicUrl(Arc<str>);

/// All bytes but RFC 3986's unreserved characters and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Percent-encodes a key for the path of a URL.
pub(super) fn encode_path(key: &str) -> PercentEncode<'_> {
    utf8_percent_encode(key, PATH)
}

impl PublicUrl {
    /// `None` if `url` is empty.
    pub(super) fn parse(url: &str) -> Result<Option<Self>, StoreOpenError> {
        if url.is_empty() {
            return Ok(None);
        }
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let is_clean =
            url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['?', '#', '"', '<', '>', '\\']);
        if host.is_empty() || host.starts_with('/') || !is_clean {
            return Err(StoreOpenError::PublicUrl { url: mask_url(url).into_owned() });
        }
        Ok(Some(Self(url.trim_end_matches('/').into())))
    }

    pub(super) fn of_key(&self, key: &ObjectKey) -> String {
        format!("{}/{}", self.0, encode_path(key.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_absolute_and_ends_with_its_path() {
        let url = PublicUrl::parse("https://cdn.example.com/v/").unwrap().unwrap();
        let key = ObjectKey::new("a b/ä.jpg").unwrap();
        assert_eq!(url.of_key(&key), "https://cdn.example.com/v/a%20b/%C3%A4.jpg");
        assert!(PublicUrl::parse("").unwrap().is_none());
        for url in ["/v", "cdn.example.com", "https://", "https:///v", "https://a/?b", "https://a/\r\nX: y", "ftp://a"]
        {
            assert!(PublicUrl::parse(url).is_err(), "{url:?}");
        }
    }
}
