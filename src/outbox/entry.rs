//! Entries of the outbox: notifications stored as objects and named by their due times.
//!
//! A pending entry is `.resized-outbox/pending/{due}-{id}.json`, where `due` is in milliseconds since 1970. One listing
//! thus returns the entries in the order in which they are due. A dead letter is `.resized-outbox/dead/{id}.json`.
//! Clients cannot name these keys, because segments that start with `.resized` are reserved.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::origin::probe::Capabilities;
use crate::origin::{Attributes, PAGE_OBJECTS_MAX, Precondition, PutOutcome, Store, StoreError};
use crate::variant::ObjectKey;

/// The outbox in its store.
#[derive(Debug)]
pub(super) struct Outbox {
    store: Store,
}

/// Content of an entry, stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OutboxEntry {
    /// Id of the notification, the same in all attempts.
    pub(super) id: String,
    /// Failed delivery attempts.
    pub(super) attempts: u32,
    /// Time until which only the node that wrote this value may deliver the notification, in milliseconds since 1970.
    pub(super) leased_until: u64,
    /// Body of the notification, sent unchanged.
    pub(super) body: String,
}

/// An entry that this process has leased and may deliver.
#[derive(Debug)]
pub struct ClaimedEntry {
    key: ObjectKey,
    pub(super) entry: OutboxEntry,
}

/// The first page of pending entries.
#[derive(Debug)]
pub(super) struct PendingPage {
    /// Number of entries on the page.
    pub(super) entries: usize,
    /// When the first entry is due, in milliseconds since 1970.
    pub(super) first_due: Option<u64>,
    /// Keys of the entries that are due, earliest first.
    pub(super) due: Vec<ObjectKey>,
}

const PENDING: &str = ".resized-outbox/pending/";
const DEAD: &str = ".resized-outbox/dead/";

/// Longest object that is read as an entry. An entry is about as long as its notification.
const ENTRY_BYTES_MAX: u64 = 256 * 1024;

impl Outbox {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Checks that the store supports all operations of the outbox.
    pub(super) async fn probe(&self) -> Result<Capabilities, StoreError> {
        self.store.probe_writing().await
    }

    /// Stores a new entry. Other nodes may claim it from `due` on.
    pub(super) async fn add(&self, due: u64, entry: OutboxEntry) -> Result<ClaimedEntry, StoreError> {
        let key = pending_key(due, &entry.id)?;
        self.write(&key, &entry, Precondition::None).await?;
        Ok(ClaimedEntry { key, entry })
    }

    /// Lists the first page of pending entries.
    pub(super) async fn list_pending(&self, now: u64) -> Result<PendingPage, StoreError> {
        let page = self.store.list(PENDING, None, PAGE_OBJECTS_MAX).await?;
        let entries = page.objects.len();
        let first_due = page.objects.first().and_then(|object| due_time(&object.key));
        let keys = page.objects.into_iter().map(|object| object.key);
        let due = keys.take_while(|key| due_time(key).is_none_or(|due| due <= now)).collect();
        Ok(PendingPage { entries, first_due, due })
    }

    /// Leases an entry until `until`. Returns `None` if another node has leased or delivered it.
    pub(super) async fn claim(
        &self,
        key: &ObjectKey,
        now: u64,
        until: u64,
    ) -> Result<Option<ClaimedEntry>, StoreError> {
        let Some((meta, bytes)) = self.store.get_bounded(key, ENTRY_BYTES_MAX).await? else { return Ok(None) };
        let Ok(mut entry) = serde_json::from_slice::<OutboxEntry>(&bytes) else {
            tracing::error!(%key, "invalid outbox entry; remove it");
            return Ok(None);
        };
        if entry.leased_until > now {
            return Ok(None);
        }
        entry.leased_until = until;
        match self.write(key, &entry, Precondition::Matches(meta.etag)).await? {
            PutOutcome::Stored(_) => Ok(Some(ClaimedEntry { key: key.clone(), entry })),
            PutOutcome::PreconditionFailed => Ok(None),
        }
    }

    pub(super) async fn remove(&self, claimed: &ClaimedEntry) -> Result<(), StoreError> {
        self.store.delete(&claimed.key, None).await.map(drop)
    }

    /// Makes an entry due at `due` and releases its lease. The new object is written before the old one is deleted, so
    /// a crash in between duplicates the entry but never loses it.
    pub(super) async fn reschedule(&self, claimed: ClaimedEntry, due: u64) -> Result<(), StoreError> {
        let key = pending_key(due, &claimed.entry.id)?;
        let entry = OutboxEntry { leased_until: 0, ..claimed.entry };
        self.write(&key, &entry, Precondition::None).await?;
        if key != claimed.key {
            self.store.delete(&claimed.key, None).await?;
        }
        Ok(())
    }

    /// Makes an entry a dead letter.
    pub(super) async fn dead_letter(&self, claimed: &ClaimedEntry) -> Result<(), StoreError> {
        self.write(&dead_letter_key(&claimed.entry.id)?, &claimed.entry, Precondition::None).await?;
        self.remove(claimed).await
    }

    /// Lists the ids of dead letters, at most one page.
    pub(super) async fn dead_letters(&self) -> Result<Vec<String>, StoreError> {
        let page = self.store.list(DEAD, None, PAGE_OBJECTS_MAX).await?;
        let id = |key: &ObjectKey| Some(key.as_str().strip_prefix(DEAD)?.strip_suffix(".json")?.to_owned());
        Ok(page.objects.iter().filter_map(|object| id(&object.key)).collect())
    }

    /// Makes a dead letter pending again and resets its failed attempts. Returns `false` if there is no dead letter
    /// `id`.
    pub(super) async fn redeliver(&self, id: &str, due: u64) -> Result<bool, StoreError> {
        // There is no dead letter with an id that is not valid in a key.
        let Ok(key) = dead_letter_key(id) else { return Ok(false) };
        let Some((_, bytes)) = self.store.get_bounded(&key, ENTRY_BYTES_MAX).await? else { return Ok(false) };
        let entry: OutboxEntry = serde_json::from_slice(&bytes).map_err(other_error)?;
        let entry = OutboxEntry { attempts: 0, leased_until: 0, ..entry };
        self.write(&pending_key(due, &entry.id)?, &entry, Precondition::None).await?;
        self.store.delete(&key, None).await?;
        Ok(true)
    }

    async fn write(
        &self,
        key: &ObjectKey,
        entry: &OutboxEntry,
        precondition: Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let bytes = Bytes::from(serde_json::to_vec(entry).map_err(other_error)?);
        let attributes = Attributes {
            content_type: "application/json".into(),
            cache_control: "no-store".into(),
            metadata: Vec::new(),
        };
        self.store.put(key, bytes, &attributes, precondition).await
    }
}

fn pending_key(due: u64, id: &str) -> Result<ObjectKey, StoreError> {
    ObjectKey::new(&format!("{PENDING}{due:013}-{id}.json")).map_err(other_error)
}

fn dead_letter_key(id: &str) -> Result<ObjectKey, StoreError> {
    ObjectKey::new(&format!("{DEAD}{id}.json")).map_err(other_error)
}

/// Reads the due time of an entry from its key.
fn due_time(key: &ObjectKey) -> Option<u64> {
    key.as_str().strip_prefix(PENDING)?.split('-').next()?.parse().ok()
}

fn other_error(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Other { source: error.into() }
}
