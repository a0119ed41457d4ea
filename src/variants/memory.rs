//! Memory of variants: cached ones, ones that are being read or sent, and evicted ones that a client still reads.
//!
//! Every body of a variant is charged to the share `variants` as long as any part of the program refers to its bytes: the
//! cache, a response, or the queue of a connection. The cache fills only a part of the share, so that there is room for
//! other variants while it is full.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::error::Error;
use super::rendition::cached::CachedVariant;
use crate::cache::Cache;
use crate::support::memory::{MemoryAccount, MemoryBudget, MemoryPermit, MemoryShare, UNIT_BYTES};
use crate::variant::Variant;

/// Reserves memory of the share. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct VariantMemory {
    variants: Arc<MemoryBudget>,
    pixels: Arc<MemoryBudget>,
    cache: Cache<Variant, CachedVariant>,
}

/// A permit for the bytes of a variant that was just made.
#[derive(Debug)]
pub(super) enum MadeMemory {
    /// Of the share of variants.
    Variants(MemoryPermit),
    /// Of the share of pixels, until the share of variants has room.
    Pixels(MemoryPermit),
}

/// Memory that a cached variant uses in addition to its bytes: its key, the tables of the header map, and the nodes of the
/// cache.
const ENTRY_BYTES: u64 = 3072;

/// Period in which a waiting request frees evicted variants. The cache frees them a while after it has evicted them.
const RECLAIM_PERIOD: Duration = Duration::from_millis(50);

/// Calls that free all variants evicted before, unless other threads use the cache at the same time.
const RECLAIM_CALLS: usize = 4;

/// A stored variant is read into memory if it takes at most the share divided by this number. Thus a few slow readers of
/// large variants cannot fill the share.
const READ_PART: u64 = 32;

/// Memory of a variant with a body of `bytes`, rounded up to the unit of permits, so that the cache counts as much as its
/// permits.
pub(super) fn charged_bytes(bytes: u64) -> u64 {
    bytes.saturating_add(ENTRY_BYTES).next_multiple_of(UNIT_BYTES)
}

impl VariantMemory {
    pub(super) fn new(account: &MemoryAccount, cache: Cache<Variant, CachedVariant>) -> Self {
        let budget = |share| account.budget(share).clone();
        Self { variants: budget(MemoryShare::Variants), pixels: budget(MemoryShare::Pixels), cache }
    }

    /// True if a stored variant of `bytes` is too large to be read into memory.
    pub(super) fn is_large(&self, bytes: u64) -> bool {
        bytes > self.variants.bytes_max() / READ_PART
    }

    /// A permit for a variant with a body of `bytes`, immediately or after a wait of at most `work.queue_time`.
    pub(super) async fn acquire(&self, bytes: u64) -> Result<MemoryPermit, Error> {
        for _ in 0..RECLAIM_CALLS {
            if let Some(permit) = self.try_acquire(bytes) {
                return Ok(permit);
            }
            self.cache.free_evicted();
        }
        let mut acquired = std::pin::pin!(self.variants.acquire(charged_bytes(bytes)));
        loop {
            match tokio::time::timeout(RECLAIM_PERIOD, &mut acquired).await {
                Ok(permit) => return permit.map_err(|_| Error::MemoryFull(MemoryShare::Variants)),
                Err(_) => self.cache.free_evicted(),
            }
        }
    }

    /// A permit for a variant with a body of `bytes`, if the share has room.
    pub(super) fn try_acquire(&self, bytes: u64) -> Option<MemoryPermit> {
        self.variants.try_acquire(charged_bytes(bytes)).ok()
    }

    /// A permit for the bytes of a variant that a resize thread has just made. It does not wait.
    pub(super) fn try_acquire_made(&self, bytes: u64) -> Option<MadeMemory> {
        let variants = self.try_acquire(bytes).map(MadeMemory::Variants);
        variants.or_else(|| self.pixels.try_acquire(bytes).ok().map(MadeMemory::Pixels))
    }

    /// Charges `bytes` that were made under `memory` to the share of variants.
    pub(super) async fn charge_made(&self, bytes: Bytes, memory: MadeMemory) -> Result<Bytes, Error> {
        let permit = match memory {
            MadeMemory::Variants(permit) => permit,
            // The permit for pixels is held during the wait.
            MadeMemory::Pixels(_pixels) => self.acquire(bytes.len() as u64).await?,
        };
        Ok(permit.attach(bytes))
    }
}
