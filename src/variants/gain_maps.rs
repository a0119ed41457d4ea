//! Originals with a gain map. Only JPEG variants keep it, so negotiation does not choose another format for them.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use crate::variant::ObjectKey;

/// Number of slots. They take 64 KiB.
const SLOTS: usize = 1 << 13;

/// The originals whose headers showed a gain map when they were last read: hashes of their keys, each in the slot that
/// its lower bits select. An original is forgotten when another takes its slot. The next request for a variant that is not in
/// memory then reads it again.
#[derive(Debug)]
pub(super) struct GainMapOriginals {
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for GainMapOriginals {
    fn default() -> Self {
        Self { slots: (0..SLOTS).map(|_| AtomicU64::new(EMPTY)).collect(), hasher: RandomState::default() }
    }
}

/// An unused slot. No original has this hash.
const EMPTY: u64 = 0;

impl GainMapOriginals {
    pub(super) fn record(&self, original: &ObjectKey, has_gain_map: bool) {
        let hash = self.hash(original);
        let Some(slot) = self.slot(hash) else { return };
        if has_gain_map {
            slot.store(hash, Ordering::Relaxed);
        } else {
            // Fails if another original has the slot.
            let _ = slot.compare_exchange(hash, EMPTY, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    pub(super) fn contains(&self, original: &ObjectKey) -> bool {
        let hash = self.hash(original);
        self.slot(hash).is_some_and(|slot| slot.load(Ordering::Relaxed) == hash)
    }

    fn hash(&self, original: &ObjectKey) -> u64 {
        self.hasher.hash_one(original).max(EMPTY + 1)
    }

    fn slot(&self, hash: u64) -> Option<&AtomicU64> {
        let index = hash & (SLOTS as u64 - 1);
        self.slots.get(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_record_of_an_original_counts() {
        let originals = GainMapOriginals::default();
        let (cat, dog) = (ObjectKey::new("cat.jpg").unwrap(), ObjectKey::new("dog.jpg").unwrap());
        assert!(!originals.contains(&cat));
        originals.record(&cat, true);
        originals.record(&dog, false);
        assert!(originals.contains(&cat) && !originals.contains(&dog));
        originals.record(&cat, false);
        assert!(!originals.contains(&cat));
    }
}
