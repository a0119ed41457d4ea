//! A log of recent purges, so that a variant whose original is purged while the variant is made is not kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::variant::ObjectKey;

/// A numbered log of the latest purges.
#[derive(Debug, Default)]
pub(in crate::variants) struct InvalidationLog(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    latest: VecDeque<ObjectKey>,
    /// Number of purges so far.
    count: u64,
}

/// A position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::variants) struct Epoch(u64);

/// Maximum number of entries: more purges than are likely while one variant is made and stored.
const ENTRIES_MAX: usize = 4096;

impl InvalidationLog {
    /// The current end of the log.
    pub(in crate::variants) fn current(&self) -> Epoch {
        Epoch(self.entries().count)
    }

    /// Appends a purge of `original`.
    pub(in crate::variants) fn record(&self, original: &ObjectKey) {
        let mut entries = self.entries();
        entries.latest.push_back(original.clone());
        entries.count += 1;
        if entries.latest.len() > ENTRIES_MAX {
            entries.latest.pop_front();
        }
    }

    /// True if `original` was purged since `epoch`, or if the log no longer contains all purges since `epoch`.
    pub(in crate::variants) fn invalidated_since(&self, epoch: Epoch, original: &ObjectKey) -> bool {
        let entries = self.entries();
        let since = usize::try_from(entries.count - epoch.0).unwrap_or(usize::MAX);
        since > entries.latest.len() || entries.latest.iter().rev().take(since).any(|purged| purged == original)
    }

    /// Ignores poisoning: the entries are consistent at every unlock.
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture() -> (InvalidationLog, ObjectKey, ObjectKey) {
        (InvalidationLog::default(), ObjectKey::new("cat").unwrap(), ObjectKey::new("dog").unwrap())
    }

    #[test]
    fn only_later_purges_of_the_same_original_invalidate() {
        let (log, cat, dog) = fixture();
        log.record(&cat);
        let epoch = log.current();
        assert!(!log.invalidated_since(epoch, &cat));
        log.record(&dog);
        assert!(!log.invalidated_since(epoch, &cat) && log.invalidated_since(epoch, &dog));
        log.record(&cat);
        assert!(log.invalidated_since(epoch, &cat));
    }

    #[test]
    fn an_epoch_before_the_start_of_the_log_counts_as_invalidated() {
        let (log, cat, dog) = fixture();
        let epoch = log.current();
        (0..ENTRIES_MAX).for_each(|_| log.record(&dog));
        assert!(!log.invalidated_since(epoch, &cat));
        log.record(&dog);
        assert!(log.invalidated_since(epoch, &cat));
    }
}
