//! Entries of the outbox that cannot be read, as of its last listing. They are skipped and reported, and never changed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::observability::metrics::{Gauge, Metrics};
use crate::origin::ListedObject;
use crate::variant::ObjectKey;

#[derive(Debug, Default)]
pub(super) struct UnreadableEntries {
    /// ETags of the objects by their keys.
    etags: Mutex<HashMap<ObjectKey, Box<str>>>,
}

impl UnreadableEntries {
    /// Creates the set and registers its gauge.
    pub(super) fn register(metrics: &Metrics) -> Arc<Self> {
        let entries = Arc::new(Self::default());
        let this = entries.clone();
        let gauge = Gauge::new(move || this.etags().len() as f64);
        let help = "Outbox entries that cannot be read and are skipped";
        metrics.register_gauge("outbox_unreadable", help, vec![gauge]);
        entries
    }

    /// True if this object is known to be unreadable.
    pub(super) fn contains(&self, object: &ListedObject) -> bool {
        self.etags().get(&object.key).is_some_and(|etag| *etag == object.etag)
    }

    /// Adds an object and logs it.
    pub(super) fn add(&self, object: &ListedObject) {
        tracing::error!(key = %object.key, "outbox entry skipped: it cannot be read; repair or delete the object");
        self.etags().insert(object.key.clone(), object.etag.clone());
    }

    /// Removes the objects that are not among `listed`, which are all up to the key `last`.
    pub(super) fn retain(&self, listed: &[ListedObject], last: Option<&ObjectKey>) {
        let listed: HashSet<&ObjectKey> = listed.iter().map(|object| &object.key).collect();
        self.etags().retain(|key, _| last.is_some_and(|last| key > last) || listed.contains(key));
    }

    fn etags(&self) -> MutexGuard<'_, HashMap<ObjectKey, Box<str>>> {
        self.etags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
