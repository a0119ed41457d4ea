//! Slots for any number of keys in constant memory.
//!
//! Each key has one slot in each of two rows of fixed size. Keys that share one slot rarely share the other, so a user
//! combines both: the smaller count of a count-min sketch never underestimates.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::AtomicU64;

use foldhash::quality::RandomState;

/// Two rows of slots, which are zero at first.
#[derive(Debug)]
pub(super) struct KeySlots([Row; 2]);

#[derive(Debug)]
struct Row {
    hasher: RandomState,
    slots: Box<[AtomicU64]>,
}

/// Slots in each row, of eight bytes each.
const SLOTS: usize = 1 << 15;

impl KeySlots {
    pub(super) fn new() -> Self {
        Self([Row::new(), Row::new()])
    }

    /// The slots of `key`.
    pub(super) fn of(&self, key: &impl Hash) -> [&AtomicU64; 2] {
        self.0.each_ref().map(|row| row.slot(key))
    }
}

impl Row {
    fn new() -> Self {
        let slots = std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect();
        Self { hasher: RandomState::default(), slots }
    }

    fn slot(&self, key: &impl Hash) -> &AtomicU64 {
        // The cast is lossless: the remainder is below `SLOTS`.
        &self.slots[(self.hasher.hash_one(key) % SLOTS as u64) as usize]
    }
}
