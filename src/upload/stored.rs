//! Description of a stored original, sent to the API and to the client.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use uuid::Uuid;

/// A stored original.
#[derive(Debug, Clone, Serialize)]
pub(super) struct StoredOriginal {
    pub(super) key: String,
    pub(super) url: String,
    pub(super) content_type: String,
    pub(super) bytes: u64,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) sha256: String,
    pub(super) etag: String,
    pub(super) time: String,
    /// Form fields that `upload.fields` names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) fields: BTreeMap<String, String>,
}

/// Body of the notification that the API receives.
#[derive(Serialize)]
pub(super) struct StoredEvent<'a> {
    r#type: &'static str,
    timestamp: &'a str,
    data: &'a StoredOriginal,
}

/// Body of the response that the client receives.
#[derive(Serialize)]
pub(super) struct UploadReceipt<'a> {
    pub(super) id: &'a str,
    #[serde(flatten)]
    pub(super) stored: &'a StoredOriginal,
    pub(super) notified: bool,
}

/// Identifies one upload. A repeated completion of a presigned upload has the same id and time.
#[derive(Debug, Clone, Copy)]
pub(super) struct UploadId {
    pub(super) uuid: Uuid,
    pub(super) time: SystemTime,
}

impl StoredOriginal {
    pub(super) fn event(&self) -> StoredEvent<'_> {
        StoredEvent { r#type: "original.stored", timestamp: &self.time, data: self }
    }
}

impl UploadId {
    pub(super) fn new() -> Self {
        Self { uuid: Uuid::new_v4(), time: SystemTime::now() }
    }
}
