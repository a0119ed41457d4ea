//! What config calls a store, and where clients reach it.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};

/// What stands for itself in a URL's path: RFC 3986's unreserved characters, and the slash.
pub(super) const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Where a store is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    File {
        directory: PathBuf,
    },
    /// `prefix` is empty or ends with a slash.
    S3 {
        bucket: String,
        prefix: String,
    },
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{address:?} names no store: write \"file:directory\" or \"s3://bucket/prefix\"")]
    Address { address: String },
    #[error("{url:?} is no base URL: write \"https://host/path\", without query or fragment")]
    PublicUrl { url: String },
    #[error("the folder {directory} cannot be used")]
    Folder { directory: PathBuf, source: std::io::Error },
}

impl FromStr for Address {
    type Err = OpenError;

    fn from_str(address: &str) -> Result<Self, OpenError> {
        let unknown = || OpenError::Address { address: address.to_owned() };
        if let Some(directory) = address.strip_prefix("file:") {
            if directory.is_empty() {
                return Err(unknown());
            }
            return Ok(Self::File { directory: directory.into() });
        }
        let (bucket, prefix) = match address.strip_prefix("s3://").ok_or_else(unknown)? {
            place if place.contains(['?', '#', '\\']) => return Err(unknown()),
            place => place.split_once('/').unwrap_or((place, "")),
        };
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() || prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(unknown());
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix })
    }
}

/// The base URL without its last slash; `None` if it is empty.
pub(super) fn public_url(url: &str) -> Result<Option<Arc<str>>, OpenError> {
    if url.is_empty() {
        return Ok(None);
    }
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
    let clean = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['?', '#', '"', '<', '>', '\\']);
    if host.is_empty() || host.starts_with('/') || !clean {
        return Err(OpenError::PublicUrl { url: url.to_owned() });
    }
    Ok(Some(url.trim_end_matches('/').into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folders_or_buckets_and_nothing_else() {
        let s3 = |bucket: &str, prefix: &str| Some(Address::S3 { bucket: bucket.into(), prefix: prefix.into() });
        let table = [
            ("file:samples", Some(Address::File { directory: "samples".into() })),
            ("file:/srv/pictures", Some(Address::File { directory: "/srv/pictures".into() })),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://bucket/a/b/", s3("bucket", "a/b/")),
            ("s3://", None),
            ("s3:///a", None),
            ("s3://bucket/../other", None),
            ("file:", None),
            ("samples", None),
            ("http://bucket/a", None),
        ];
        for (address, expected) in table {
            assert_eq!(address.parse::<Address>().ok(), expected, "{address}");
        }
    }

    #[test]
    fn public_urls_are_absolute_and_have_nothing_behind_the_path() {
        assert_eq!(public_url("https://cdn.example.com/v/").unwrap().as_deref(), Some("https://cdn.example.com/v"));
        assert_eq!(public_url("").unwrap(), None);
        for url in ["/v", "cdn.example.com", "https://", "https:///v", "https://a/?b", "https://a/\r\nX: y", "ftp://a"]
        {
            assert!(public_url(url).is_err(), "{url:?}");
        }
    }
}
