//! The file that holds the attributes of an object.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::origin::object::Attributes;
use crate::variant::ObjectKey;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sidecar {
    key: String,
    pub(super) content_type: String,
    cache_control: String,
    pub(super) metadata: Vec<(String, String)>,
}

impl Sidecar {
    pub(super) fn new(key: &ObjectKey, attributes: &Attributes) -> Self {
        Self {
            key: key.as_str().to_owned(),
            content_type: attributes.content_type.clone(),
            cache_control: attributes.cache_control.clone(),
            metadata: attributes.metadata.clone(),
        }
    }

    /// Reads the file; `None` if it is missing or cannot be parsed. An object that was copied into the folder has no
    /// such file.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }
}
