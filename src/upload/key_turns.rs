//! Lets the uploads that replace one original take turns, so that their events have the order of their writes.
//!
//! This orders the uploads of one node. Uploads of several nodes are ordered by the clock of the bucket.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::OwnedMutexGuard;

use crate::support::unix_time::millis;
use crate::variant::ObjectKey;

type KeyMutex = tokio::sync::Mutex<()>;

#[derive(Debug, Default)]
pub(super) struct KeyTurns {
    keys: Mutex<HashMap<ObjectKey, Weak<KeyMutex>>>,
    /// The last time that [`KeyTurns::next_time`] returned, in milliseconds since 1970.
    last_time: AtomicU64,
}

/// The right to write a key. Dropping it lets the next upload write.
#[derive(Debug)]
pub(super) struct KeyTurn(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

impl KeyTurns {
    /// Waits until no other upload of this node writes `key`.
    pub(super) async fn acquire(&self, key: &ObjectKey) -> KeyTurn {
        KeyTurn(self.mutex(key).lock_owned().await)
    }

    /// `now`, or a later time, so that each upload has a later time than the one before it.
    pub(super) fn next_time(&self, now: SystemTime) -> SystemTime {
        let now = millis(now);
        let next = |last: u64| now.max(last + 1);
        let last = self.last_time.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        UNIX_EPOCH + Duration::from_millis(next(last.unwrap_or_default()))
    }

    fn mutex(&self, key: &ObjectKey) -> Arc<KeyMutex> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mutex) = keys.get(key).and_then(Weak::upgrade) {
            return mutex;
        }
        // There are at most as many keys as concurrent uploads.
        keys.retain(|_, mutex| mutex.strong_count() > 0);
        let mutex = Arc::default();
        keys.insert(key.clone(), Arc::downgrade(&mutex));
        mutex
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn uploads_of_one_key_take_turns_and_others_do_not_wait() {
        let turns = KeyTurns::default();
        let (one, other) = (ObjectKey::new("a.jpg").unwrap(), ObjectKey::new("b.jpg").unwrap());
        let turn = turns.acquire(&one).await;
        drop(turns.acquire(&other).await);
        let brief = Duration::from_millis(10);
        assert!(tokio::time::timeout(brief, turns.acquire(&one)).await.is_err());
        drop(turn);
        drop(turns.acquire(&one).await);
        drop(turns.acquire(&other).await);
        assert_eq!(turns.keys.lock().unwrap().len(), 1, "keys that are not written are forgotten");
    }

    #[test]
    fn times_always_increase() {
        let turns = KeyTurns::default();
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let times = [now, now, now - Duration::from_secs(10), now + Duration::from_secs(1)];
        let times = times.map(|now| turns.next_time(now).duration_since(UNIX_EPOCH).unwrap().as_millis());
        assert_eq!(times, [1_000_000, 1_000_001, 1_000_002, 1_001_000]);
    }
}
