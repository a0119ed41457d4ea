//! Writes variants into their store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::observability::metrics::WriteBackMetrics;
use crate::observability::traces;
use crate::origin::{Attributes, Precondition, PutOutcome, Store, StoreError};
use crate::support::error_chain::chain;
use crate::support::memory::{BudgetError, MemoryBudget};
use crate::support::tasks::Tasks;
use crate::variant::ObjectKey;
use crate::variants::store::invalidation_log::{Epoch, InvalidationLog};
use crate::variants::store::lease::Lease;

/// A variant that will be written, and the conditions of the write.
#[derive(Debug, Clone)]
pub(in crate::variants) struct VariantWrite {
    pub(in crate::variants) key: ObjectKey,
    pub(in crate::variants) bytes: Bytes,
    pub(in crate::variants) attributes: Attributes,
    pub(in crate::variants) precondition: Precondition,
    /// The original that the variant was made from.
    pub(in crate::variants) original: ObjectKey,
    /// End of the invalidation log before the original was read: a purge since then cancels the write.
    pub(in crate::variants) epoch: Epoch,
    #[expect(dead_code, reason = "held until the write has ended")]
    pub(in crate::variants) lease: Option<Arc<Lease>>,
}

/// Result of a write that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::variants) enum WriteOutcome {
    Stored,
    /// Another node stored the variant first, and its object is kept.
    LostRace,
    /// The original was purged during the write or before it; the variant is not in the store.
    Invalidated,
}

/// Parts of a [`WriteBack`].
#[derive(Debug)]
pub(in crate::variants) struct WriteBackParts {
    pub(in crate::variants) store: Store,
    pub(in crate::variants) invalidations: Arc<InvalidationLog>,
    /// Memory of the queue.
    pub(in crate::variants) queue: Arc<MemoryBudget>,
    pub(in crate::variants) tasks: Tasks,
    pub(in crate::variants) metrics: WriteBackMetrics,
}

/// Writes variants, either while the request waits or from a queue.
#[derive(Debug, Clone)]
pub(in crate::variants) struct WriteBack {
    store: Store,
    invalidations: Arc<InvalidationLog>,
    queue: Arc<MemoryBudget>,
    tasks: Tasks,
    metrics: WriteBackMetrics,
}

/// Pauses before the retries of a queued write.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];

impl WriteBack {
    pub(in crate::variants) fn new(parts: WriteBackParts) -> Self {
        let WriteBackParts { store, invalidations, queue, tasks, metrics } = parts;
        Self { store, invalidations, queue, tasks, metrics }
    }

    /// Writes and waits until the store has confirmed the write.
    pub(in crate::variants) async fn write(&self, write: VariantWrite) -> Result<WriteOutcome, StoreError> {
        let is_invalidated = || self.invalidations.invalidated_since(write.epoch, &write.original);
        if is_invalidated() {
            return Ok(WriteOutcome::Invalidated);
        }
        match self.store.put(&write.key, write.bytes, &write.attributes, write.precondition).await? {
            // A purge during the write may have listed the store before the object was there.
            PutOutcome::Stored(etag) if is_invalidated() => {
                self.store.delete(&write.key, Some(&etag)).await?;
                Ok(WriteOutcome::Invalidated)
            }
            PutOutcome::Stored(_) => {
                self.metrics.stored.inc();
                tracing::debug!(key = %write.key, "variant stored");
                Ok(WriteOutcome::Stored)
            }
            PutOutcome::PreconditionFailed => {
                self.metrics.lost_race.inc();
                tracing::debug!(key = %write.key, "another node stored the variant first");
                Ok(WriteOutcome::LostRace)
            }
        }
    }

    /// Writes on a background task that shutdown waits for. If the queue is full, the variant is not stored; it is made
    /// again when it is requested after its eviction from memory.
    /// `charged` is the same variant with a permit of the share of variants. It is written if it exceeds the whole queue.
    pub(in crate::variants) fn enqueue(&self, mut write: VariantWrite, charged: Option<&Bytes>) {
        let permit = match (self.queue.try_acquire(write.bytes.len() as u64), charged) {
            (Ok(permit), _) => Some(permit),
            (Err(BudgetError::TooLarge { .. }), Some(charged)) => {
                write.bytes = charged.clone();
                None
            }
            (Err(BudgetError::TooLarge { .. } | BudgetError::Overloaded), _) => {
                self.metrics.dropped.inc();
                tracing::warn!(key = %write.key, "write-back queue is full; variant not stored");
                return;
            }
        };
        let this = self.clone();
        self.tasks.spawn(async move {
            let _permit = permit;
            traces::in_span("write_back", this.write_with_retries(write)).await;
        });
    }

    async fn write_with_retries(&self, write: VariantWrite) {
        let mut pauses = RETRY_PAUSES.iter();
        loop {
            let Err(error) = self.write(write.clone()).await else { return };
            let (error, advice) = (chain(&error), error.advice());
            let Some(pause) = pauses.next() else {
                self.metrics.failed.inc();
                tracing::error!(key = %write.key, error, advice, "variant could not be stored");
                return;
            };
            tracing::warn!(key = %write.key, error, "variant could not be stored; retrying");
            tokio::time::sleep(*pause).await;
        }
    }
}
