//! Which originals were purged lately, so that what was begun before a purge is not kept after it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::variant::ObjectKey;

/// The latest purges, numbered.
#[derive(Debug, Default)]
pub(crate) struct Purges(Mutex<Log>);

#[derive(Debug, Default)]
struct Log {
    latest: VecDeque<ObjectKey>,
    /// How many there have been.
    count: u64,
}

/// A point in the order of purges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

/// As many as may well come while one variant is made and stored.
const LATEST_MAX: usize = 4096;

impl Purges {
    pub(crate) fn now(&self) -> Moment {
        Moment(self.log().count)
    }

    pub(crate) fn record(&self, original: &ObjectKey) {
        let mut log = self.log();
        log.latest.push_back(original.clone());
        log.count += 1;
        if log.latest.len() > LATEST_MAX {
            log.latest.pop_front();
        }
    }

    /// Whether `original` was purged since `moment`; also if so many were that it is no longer known.
    pub(crate) fn since(&self, moment: Moment, original: &ObjectKey) -> bool {
        let log = self.log();
        let since = usize::try_from(log.count - moment.0).unwrap_or(usize::MAX);
        since > log.latest.len() || log.latest.iter().rev().take(since).any(|purged| purged == original)
    }

    /// Whole at every unlock.
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_purges_of_the_same_original_after_the_moment_count() {
        let (purges, cat, dog) = (Purges::default(), ObjectKey::new("cat").unwrap(), ObjectKey::new("dog").unwrap());
        purges.record(&cat);
        let moment = purges.now();
        assert!(!purges.since(moment, &cat));
        purges.record(&dog);
        assert!(!purges.since(moment, &cat) && purges.since(moment, &dog));
        purges.record(&cat);
        assert!(purges.since(moment, &cat));
    }

    #[test]
    fn what_is_no_longer_known_counts_as_purged() {
        let (purges, cat, dog) = (Purges::default(), ObjectKey::new("cat").unwrap(), ObjectKey::new("dog").unwrap());
        let moment = purges.now();
        (0..LATEST_MAX).for_each(|_| purges.record(&dog));
        assert!(!purges.since(moment, &cat));
        purges.record(&dog);
        assert!(purges.since(moment, &cat));
    }
}
