//! Paths of objects, their attributes and temporary files in a file store.

use std::path::{Path, PathBuf};

use super::root::Root;
use crate::support::hex;
use crate::variant::ObjectKey;

/// Folder below the root for files that are not objects: attributes and temporary files.
pub(super) const RESERVED_FOLDER: &str = ".resized";

/// Paths below the root of a store.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) root: Root,
}

impl Layout {
    pub(super) fn object(&self, key: &ObjectKey) -> PathBuf {
        self.root.path().join(key.as_str())
    }

    /// True if `path` is in the [`RESERVED_FOLDER`].
    pub(super) fn is_reserved(&self, path: &Path) -> bool {
        path.starts_with(self.root.path().join(RESERVED_FOLDER))
    }

    pub(super) fn temporary_folder(&self) -> PathBuf {
        self.root.path().join(RESERVED_FOLDER).join("tmp")
    }

    /// Path of the attributes of the object with `etag`. Keys are hashed because a file name has at most 255 bytes.
    pub(super) fn sidecar(&self, key: &ObjectKey, etag: &str) -> PathBuf {
        let hash = ring::digest::digest(&ring::digest::SHA256, key.as_str().as_bytes());
        let hash = hex::encode(&hash.as_ref()[..16]);
        let name = format!("{hash}-{}.json", etag.trim_matches('"'));
        self.root.path().join(RESERVED_FOLDER).join("meta").join(&hash[..2]).join(name)
    }
}
