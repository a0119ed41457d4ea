//! Description of a stored original, sent to the API and to the client.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use uuid::Uuid;

use super::metadata::UploadMetadata;
use super::request::WriteKind;
use crate::origin::ObjectMeta;

/// A stored original.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct StoredOriginal {
    pub(super) key: String,
    pub(super) url: String,
    pub(super) content_type: String,
    pub(super) bytes: u64,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) sha256: String,
    pub(super) etag: String,
    /// When the original was stored, in the format of RFC 3339. For a presigned upload, when its URL was signed.
    pub(super) time: String,
    /// Form fields that `upload.fields` names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) fields: BTreeMap<String, String>,
}

/// An original that is under the key of an upload.
pub(super) struct StoredUpload {
    pub(super) result: UploadResult,
    pub(super) kind: WriteKind,
    pub(super) original: StoredOriginal,
    /// Id of the event.
    pub(super) event_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UploadResult {
    Created,
    /// The same bytes were stored before.
    Duplicate,
    /// The same bytes were stored before, but the client sent `If-None-Match: *`. Their event is sent again, because the
    /// upload that stored them may have been killed before it was.
    Exists,
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
    /// The description that the upload of an equal original had. Its event is thus the same, byte by byte.
    pub(super) fn stored_earlier(self, object: &ObjectMeta) -> Self {
        let UploadMetadata { time, fields, .. } = UploadMetadata::read(object);
        let time = time.unwrap_or_else(|| rfc3339(object.last_modified));
        Self { etag: object.etag.to_string(), time, fields, ..self }
    }

    pub(super) fn event(&self) -> StoredEvent<'_> {
        StoredEvent { r#type: "original.stored", timestamp: &self.time, data: self }
    }
}

/// Formats a time as events contain it.
pub(super) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

impl UploadId {
    pub(super) fn new() -> Self {
        Self { uuid: Uuid::new_v4(), time: SystemTime::now() }
    }
}
