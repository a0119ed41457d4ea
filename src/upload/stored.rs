//! What is said of an original that was stored: to the API, and to the client.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use uuid::Uuid;

/// What the API hears and the client is answered.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) url: String,
    pub(super) content_type: String,
    pub(super) bytes: u64,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) sha256: String,
    pub(super) etag: String,
    pub(super) time: String,
    /// Of the form's other fields, those that config names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) fields: BTreeMap<String, String>,
}

#[derive(Serialize)]
pub(super) struct Event<'a> {
    r#type: &'static str,
    timestamp: &'a str,
    data: &'a Stored,
}

#[derive(Serialize)]
pub(super) struct Answer<'a> {
    pub(super) id: &'a str,
    #[serde(flatten)]
    pub(super) stored: &'a Stored,
    pub(super) notified: bool,
}

/// What sets one upload apart from all others. One that is repeated by its ticket has the same again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stamp {
    pub(super) id: Uuid,
    pub(super) time: SystemTime,
}

impl Stored {
    pub(super) fn event(&self) -> Event<'_> {
        Event { r#type: "original.stored", timestamp: &self.time, data: self }
    }
}

impl Stamp {
    pub(super) fn now() -> Self {
        Self { id: Uuid::new_v4(), time: SystemTime::now() }
    }
}
