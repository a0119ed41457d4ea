//! Markers: notifications as objects, named by when they are due.
//!
//! `.resized-outbox/pending/{due in ms since 1970}-{id}.json`, so that one listing has those that are due, first ones first;
//! and `.resized-outbox/dead/{id}.json`. Keys with a segment that begins with `.resized` are nobody's but ours.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::origin::probe::Capabilities;
use crate::origin::{Attributes, PAGE_OBJECTS_MAX, Precondition, PutOutcome, Store, StoreError};
use crate::variant::ObjectKey;

#[derive(Debug)]
pub(super) struct Outbox {
    store: Store,
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    /// The same over all tries.
    pub(super) id: String,
    /// Tries that failed.
    pub(super) attempts: u32,
    /// Until then, in milliseconds since 1970, it is being sent by the one who wrote this.
    pub(super) leased_until: u64,
    /// What is sent, byte by byte.
    pub(super) body: String,
}

/// A marker that is ours to send, and where it is.
#[derive(Debug)]
pub struct Letter {
    key: ObjectKey,
    pub(super) marker: Marker,
}

/// What waits, of one page.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) pending: usize,
    /// In milliseconds since 1970.
    pub(super) first_due: Option<u64>,
    /// The keys of what is due, first ones first.
    pub(super) due: Vec<ObjectKey>,
}

const PENDING: &str = ".resized-outbox/pending/";
const DEAD: &str = ".resized-outbox/dead/";

/// A marker is as long as its event; one longer than this is not ours.
const MARKER_BYTES_MAX: u64 = 256 * 1024;

impl Outbox {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    pub(super) async fn probe(&self) -> Result<Capabilities, StoreError> {
        self.store.probe_writing().await
    }

    pub(super) async fn add(&self, due: u64, marker: Marker) -> Result<Letter, StoreError> {
        let key = pending(due, &marker.id)?;
        self.write(&key, &marker, Precondition::None).await?;
        Ok(Letter { key, marker })
    }

    /// Looks through one page of what waits.
    pub(super) async fn look(&self, now: u64) -> Result<Waiting, StoreError> {
        let page = self.store.list(PENDING, None, PAGE_OBJECTS_MAX).await?;
        let (pending, first_due) = (page.objects.len(), page.objects.first().and_then(|object| due(&object.key)));
        let keys = page.objects.into_iter().map(|object| object.key);
        let due = keys.take_while(|key| due(key).is_none_or(|due| due <= now)).collect();
        Ok(Waiting { pending, first_due, due })
    }

    /// Takes a marker until `until`; `None` if another has it or has sent it.
    pub(super) async fn claim(&self, key: &ObjectKey, now: u64, until: u64) -> Result<Option<Letter>, StoreError> {
        let Some((meta, bytes)) = self.store.get_bounded(key, MARKER_BYTES_MAX).await? else { return Ok(None) };
        let Ok(mut marker) = serde_json::from_slice::<Marker>(&bytes) else {
            tracing::error!(%key, "this is no notification; remove it from the outbox");
            return Ok(None);
        };
        // Its first lease ends when it is due.
        if marker.leased_until > now {
            return Ok(None);
        }
        marker.leased_until = until;
        match self.write(key, &marker, Precondition::Matches(meta.etag)).await? {
            PutOutcome::Stored(_) => Ok(Some(Letter { key: key.clone(), marker })),
            PutOutcome::PreconditionFailed => Ok(None),
        }
    }

    pub(super) async fn remove(&self, letter: &Letter) -> Result<(), StoreError> {
        self.store.delete(&letter.key, None).await.map(drop)
    }

    /// The new one is there before the old one goes: a crash between doubles it and loses nothing.
    pub(super) async fn reschedule(&self, letter: Letter, due: u64) -> Result<(), StoreError> {
        let key = pending(due, &letter.marker.id)?;
        let marker = Marker { leased_until: 0, ..letter.marker };
        self.write(&key, &marker, Precondition::None).await?;
        if key != letter.key {
            self.store.delete(&letter.key, None).await?;
        }
        Ok(())
    }

    pub(super) async fn bury(&self, letter: &Letter) -> Result<(), StoreError> {
        self.write(&dead(&letter.marker.id)?, &letter.marker, Precondition::None).await?;
        self.remove(letter).await
    }

    pub(super) async fn dead(&self) -> Result<Vec<String>, StoreError> {
        let page = self.store.list(DEAD, None, PAGE_OBJECTS_MAX).await?;
        let name = |key: &ObjectKey| Some(key.as_str().strip_prefix(DEAD)?.strip_suffix(".json")?.to_owned());
        Ok(page.objects.iter().filter_map(|object| name(&object.key)).collect())
    }

    pub(super) async fn revive(&self, id: &str, due: u64) -> Result<bool, StoreError> {
        // What is no id is no key either, and names no letter.
        let Ok(key) = dead(id) else { return Ok(false) };
        let Some((_, bytes)) = self.store.get_bounded(&key, MARKER_BYTES_MAX).await? else { return Ok(false) };
        let marker: Marker = serde_json::from_slice(&bytes).map_err(other)?;
        let marker = Marker { attempts: 0, leased_until: 0, ..marker };
        self.write(&pending(due, &marker.id)?, &marker, Precondition::None).await?;
        self.store.delete(&key, None).await?;
        Ok(true)
    }

    async fn write(
        &self,
        key: &ObjectKey,
        marker: &Marker,
        precondition: Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let bytes = Bytes::from(serde_json::to_vec(marker).map_err(other)?);
        let attributes = Attributes {
            content_type: "application/json".into(),
            cache_control: "no-store".into(),
            metadata: Vec::new(),
        };
        self.store.put(key, bytes, &attributes, precondition).await
    }
}

fn pending(due: u64, id: &str) -> Result<ObjectKey, StoreError> {
    ObjectKey::new(&format!("{PENDING}{due:013}-{id}.json")).map_err(other)
}

fn dead(id: &str) -> Result<ObjectKey, StoreError> {
    ObjectKey::new(&format!("{DEAD}{id}.json")).map_err(other)
}

/// When the marker under `key` is due.
fn due(key: &ObjectKey) -> Option<u64> {
    key.as_str().strip_prefix(PENDING)?.split('-').next()?.parse().ok()
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Other { source: error.into() }
}
