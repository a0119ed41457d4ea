//! The address of an object store.

use std::fmt;
use std::path::{Component, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::support::url_secrets::mask_url;

/// The location of an object store: a folder or a prefix in a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StoreAddress {
    /// `file:directory`
    File { directory: PathBuf },
    /// `s3://bucket/prefix`. The prefix has no slash at either end; it is empty if the store is the whole bucket.
    S3 { bucket: String, prefix: String },
}

/// A text that is not the address of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{address:?} is not the address of a store: write \"file:directory\" or \"s3://bucket/prefix\"")]
pub struct StoreAddressError {
    address: String,
}

impl StoreAddress {
    /// The path from `outer` to this store: empty if both are the same store, `None` if this store lies elsewhere.
    ///
    /// Addresses are compared as they are written. Symbolic links are not resolved, and a relative directory is never inside an
    /// absolute one.
    #[must_use]
    pub fn relative_to(&self, outer: &Self) -> Option<String> {
        let (is_same_root, inner, outer) = match (self, outer) {
            (Self::File { directory: inner }, Self::File { directory: outer }) => {
                (inner.is_absolute() == outer.is_absolute(), folders(inner), folders(outer))
            }
            (Self::S3 { bucket: inner, prefix }, Self::S3 { bucket: outer, prefix: outer_prefix }) => {
                (inner == outer, segments(prefix), segments(outer_prefix))
            }
            (Self::File { .. }, Self::S3 { .. }) | (Self::S3 { .. }, Self::File { .. }) => return None,
        };
        let rest = inner.strip_prefix(outer.as_slice())?;
        is_same_root.then(|| rest.join("/"))
    }
}

/// The folders of a path, without `.` and the root.
fn folders(directory: &std::path::Path) -> Vec<String> {
    let is_folder = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    let folders = directory.components().filter(is_folder);
    folders.map(|component| component.as_os_str().to_string_lossy().into_owned()).collect()
}

fn segments(prefix: &str) -> Vec<String> {
    prefix.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect()
}

impl FromStr for StoreAddress {
    type Err = StoreAddressError;

    fn from_str(address: &str) -> Result<Self, StoreAddressError> {
        let error = || StoreAddressError { address: mask_url(address).into_owned() };
        if let Some(directory) = address.strip_prefix("file:") {
            return if directory.is_empty() { Err(error()) } else { Ok(Self::File { directory: directory.into() }) };
        }
        let location = address.strip_prefix("s3://").filter(|location| !location.contains(['?', '#', '\\']));
        let location = location.ok_or_else(error)?;
        let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
        let prefix = prefix.trim_matches('/');
        if bucket.is_empty() || prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(error());
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl TryFrom<String> for StoreAddress {
    type Error = StoreAddressError;

    fn try_from(address: String) -> Result<Self, StoreAddressError> {
        address.parse()
    }
}

impl From<StoreAddress> for String {
    fn from(address: StoreAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { directory } => write!(f, "file:{}", directory.display()),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> StoreAddress {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_names_a_directory_or_a_bucket_with_a_prefix() {
        let file = |directory: &str| Some(StoreAddress::File { directory: directory.into() });
        let s3 = |bucket: &str, prefix: &str| Some(StoreAddress::S3 { bucket: bucket.into(), prefix: prefix.into() });
        let table = [
            ("file:samples", file("samples")),
            ("file:/srv/pictures", file("/srv/pictures")),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/", s3("bucket", "")),
            ("s3://bucket/a/b/", s3("bucket", "a/b")),
            ("s3://", None),
            ("s3:///a", None),
            ("s3://bucket/../other", None),
            ("s3://bucket/a?b", None),
            ("file:", None),
            ("", None),
            ("samples", None),
            ("http://bucket/a", None),
        ];
        for (text, expected) in table {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn display_and_parse_are_inverse() {
        for text in ["file:samples", "file:./a/", "file:/srv", "s3://bucket", "s3://bucket/a/b", "s3://bucket/a//b"] {
            assert_eq!(address(text).to_string(), text);
        }
    }

    #[test]
    fn a_store_inside_another_has_a_relative_path() {
        let table = [
            ("s3://b/originals", "s3://b/originals/variants", Some("variants")),
            ("s3://b/originals/", "s3://b/originals/a/b/", Some("a/b")),
            ("s3://b", "s3://b/variants", Some("variants")),
            ("s3://b/a", "s3://b/a/", Some("")),
            ("file:data", "file:./data/variants/", Some("variants")),
            ("file:.", "file:variants", Some("variants")),
            ("file:/srv/data", "file:///srv/data/.v", Some(".v")),
            ("s3://b/originals", "s3://b/originals-variants", None),
            ("s3://b/originals", "s3://b/variants", None),
            ("s3://b", "s3://c/b", None),
            ("file:samples", "file:variants", None),
            ("file:data", "file:/data/variants", None),
            ("file:b/originals", "s3://b/originals/variants", None),
            ("s3://b/a", "s3://b", None),
        ];
        for (outer, inner, expected) in table {
            assert_eq!(address(inner).relative_to(&address(outer)).as_deref(), expected, "{inner} in {outer}");
        }
    }
}
