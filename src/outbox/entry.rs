//! Entries of the outbox: notifications stored as objects and named by their due times.
//!
//! A pending entry is `.resized-outbox/pending/{due}-{id}.json`, where `due` is in milliseconds since 1970 by
//! the clock of the store. One listing thus returns the entries in the order in which they are due. A dead letter is `.resized-outbox/dead/{id}.json`.
//! Clients cannot name these keys, because segments that start with `.resized` are reserved.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::unreadable::UnreadableEntries;
use crate::origin::probe::Capabilities;
use crate::origin::{Attributes, ListedObject, PAGE_OBJECTS_MAX, Precondition, PutOutcome, Store, StoreError};
use crate::support::unix_time::millis;
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

/// The first pending entries.
#[derive(Debug)]
pub(super) struct PendingEntries {
    /// Number of entries that were listed.
    pub(super) entries: usize,
    /// When the first entry is due, in milliseconds since 1970.
    pub(super) first_due: Option<u64>,
    /// The time of the listing, by the clock of the store.
    pub(super) now: u64,
    /// The entries that are due, earliest first.
    pub(super) due: Vec<ListedObject>,
}

/// The object of an entry.
enum StoredEntry {
    /// With its ETag.
    Readable(OutboxEntry, Box<str>),
    Missing,
    Unreadable,
}

/// Result of claiming an entry.
#[derive(Debug)]
pub(super) enum Claim {
    Claimed(ClaimedEntry),
    /// Another node has leased or delivered it.
    Taken,
    /// The object is not an entry.
    Unreadable,
}

/// Result of a redelivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivery {
    /// The dead letter is pending again.
    Queued,
    /// There is no dead letter with this id.
    NotFound,
    /// The object is not an entry.
    Unreadable,
}

const PENDING: &str = ".resized-outbox/pending/";
const DEAD: &str = ".resized-outbox/dead/";

/// Longest object that is read as an entry. An entry is about as long as its notification.
const ENTRY_BYTES_MAX: u64 = 256 * 1024;

/// Pages of unreadable entries that a listing passes over.
const PAGES_MAX: usize = 10;

/// Concurrent reads of a listing.
const READS_MAX: usize = 8;

/// A lease that ends later than this was written by a node whose clock is wrong, and is ignored.
const LEASE_MS_MAX: u64 = 3600 * 1000;

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

    /// The time by the clock that all nodes share, in milliseconds since 1970.
    pub(super) async fn now(&self) -> u64 {
        millis(self.store.time().await)
    }

    /// Lists the first pending entries: one page, and further ones after pages of `unreadable` entries.
    pub(super) async fn list_pending(&self, unreadable: &UnreadableEntries) -> Result<PendingEntries, StoreError> {
        let mut listed = Vec::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let page = self.store.list(PENDING, after.as_deref(), PAGE_OBJECTS_MAX).await?;
            let has_readable = page.objects.iter().any(|object| !unreadable.contains(object));
            listed.extend(page.objects);
            after = page.next;
            if has_readable || after.is_none() {
                break;
            }
        }
        // The response shows the time.
        let now = self.now().await;
        let last = after.and(listed.last()).map(|object| &object.key);
        unreadable.retain(&listed, last);
        listed.retain(|object| !unreadable.contains(object));
        let (entries, first_due) = (listed.len(), listed.first().and_then(|object| due_time(&object.key)));
        let due = listed.into_iter().take_while(|object| due_time(&object.key).is_none_or(|due| due <= now)).collect();
        Ok(PendingEntries { entries, first_due, now, due })
    }

    /// Leases an entry for `lease` milliseconds.
    pub(super) async fn claim(&self, key: &ObjectKey, lease: u64) -> Result<Claim, StoreError> {
        let (mut entry, etag) = match self.read(key).await? {
            StoredEntry::Readable(entry, etag) => (entry, etag),
            StoredEntry::Missing => return Ok(Claim::Taken),
            StoredEntry::Unreadable => return Ok(Claim::Unreadable),
        };
        let now = self.now().await;
        if entry.leased_until > now && entry.leased_until - now <= LEASE_MS_MAX.max(lease) {
            return Ok(Claim::Taken);
        }
        entry.leased_until = now + lease;
        match self.write(key, &entry, Precondition::Matches(etag)).await? {
            PutOutcome::Stored(_) => Ok(Claim::Claimed(ClaimedEntry { key: key.clone(), entry })),
            PutOutcome::PreconditionFailed => Ok(Claim::Taken),
        }
    }

    /// Lists the keys of pending entries and dead letters that cannot be read, among the first page of each.
    pub(super) async fn list_unreadable(&self) -> Result<Vec<ObjectKey>, StoreError> {
        let mut keys = Vec::new();
        for prefix in [PENDING, DEAD] {
            keys.extend(self.store.list(prefix, None, PAGE_OBJECTS_MAX).await?.objects.into_iter().map(|o| o.key));
        }
        let unreadable = stream::iter(keys).map(|key| async move {
            let entry = self.read(&key).await?;
            Ok(matches!(entry, StoredEntry::Unreadable).then_some(key))
        });
        unreadable.buffered(READS_MAX).try_filter_map(|key| async { Ok(key) }).try_collect().await
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

    /// Makes a dead letter due now and resets its failed attempts.
    pub(super) async fn redeliver(&self, id: &str) -> Result<Redelivery, StoreError> {
        // There is no dead letter with an id that is not valid in a key.
        let Ok(key) = dead_letter_key(id) else { return Ok(Redelivery::NotFound) };
        let entry = match self.read(&key).await? {
            StoredEntry::Readable(entry, _) => OutboxEntry { attempts: 0, leased_until: 0, ..entry },
            StoredEntry::Missing => return Ok(Redelivery::NotFound),
            StoredEntry::Unreadable => return Ok(Redelivery::Unreadable),
        };
        self.write(&pending_key(self.now().await, &entry.id)?, &entry, Precondition::None).await?;
        self.store.delete(&key, None).await?;
        Ok(Redelivery::Queued)
    }

    async fn read(&self, key: &ObjectKey) -> Result<StoredEntry, StoreError> {
        match self.store.get_bounded(key, ENTRY_BYTES_MAX).await {
            Ok(Some((meta, bytes))) => Ok(match serde_json::from_slice::<OutboxEntry>(&bytes) {
                // An id that is not valid in a key could never be rescheduled.
                Ok(entry) if pending_key(0, &entry.id).is_err() => StoredEntry::Unreadable,
                Ok(entry) => StoredEntry::Readable(entry, meta.etag),
                Err(_) => StoredEntry::Unreadable,
            }),
            Ok(None) => Ok(StoredEntry::Missing),
            Err(StoreError::TooLarge { .. }) => Ok(StoredEntry::Unreadable),
            Err(error) => Err(error),
        }
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
