//! Variants on their way into the store.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::invalidation_log::{Moment, Purges};
use super::lease::Lease;
use super::memory_budget::Budget;
use crate::observability::metrics::WriteBackMetrics;
use crate::observability::traces;
use crate::origin::{Attributes, Precondition, PutOutcome, Store, StoreError};
use crate::support::error_chain::chain;
use crate::support::tasks::Tasks;
use crate::variant::ObjectKey;

/// An object to be written.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) key: ObjectKey,
    pub(crate) bytes: Bytes,
    pub(crate) attributes: Attributes,
    pub(crate) precondition: Precondition,
    /// What the object was made of.
    pub(crate) original: ObjectKey,
    /// When that was read: a purge since then makes it void.
    pub(crate) as_of: Moment,
    /// The right to make it, given up when it is written or given up on.
    #[expect(dead_code, reason = "held for as long as the write is")]
    pub(crate) lease: Option<Arc<Lease>>,
}

/// How a write ended that met no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is in the store.
    Stored,
    /// It is not: another node wrote one first, which stands.
    Preceded,
    /// Its original was purged meanwhile: it is not in the store.
    Void,
}

/// The way into the variants' store: at once, or behind the answer.
#[derive(Debug, Clone)]
pub(crate) struct WriteBack {
    variants: Store,
    purges: Arc<Purges>,
    queue: Arc<Budget>,
    tasks: Tasks,
    counts: WriteBackMetrics,
}

/// How long to wait before each further try of a write that nobody waits for.
const RETRIES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];

impl WriteBack {
    /// At most `bytes_max` may be on their way behind answers.
    pub(crate) fn new(
        variants: Store,
        purges: Arc<Purges>,
        bytes_max: u64,
        tasks: Tasks,
        counts: WriteBackMetrics,
    ) -> Self {
        Self { variants, purges, queue: Arc::new(Budget::new(bytes_max, 0, Duration::ZERO)), tasks, counts }
    }

    /// Writes and waits until the store has confirmed it. If another node was first, its bytes stand.
    pub(crate) async fn now(&self, write: Write) -> Result<Written, StoreError> {
        let is_void = || self.purges.since(write.as_of, &write.original);
        if is_void() {
            return Ok(Written::Void);
        }
        match self.variants.put(&write.key, write.bytes, &write.attributes, write.precondition).await? {
            // A purge while it was written may have listed the variants before this one was there.
            PutOutcome::Stored(etag) if is_void() => {
                self.variants.delete(&write.key, Some(&etag)).await?;
                Ok(Written::Void)
            }
            PutOutcome::Stored(_) => {
                self.counts.stored.inc();
                tracing::debug!(key = %write.key, "variant stored");
                Ok(Written::Stored)
            }
            PutOutcome::PreconditionFailed => {
                self.counts.lost_race.inc();
                tracing::debug!(key = %write.key, "another node stored this variant first");
                Ok(Written::Preceded)
            }
        }
    }

    /// Writes behind the answer, on a task that shutdown waits for. What finds the queue full is dropped: the variant
    /// is made again when it is asked for after memory has forgotten it.
    pub(crate) fn later(&self, write: Write) {
        let Ok(ticket) = self.queue.ticket_now(write.bytes.len() as u64) else {
            self.counts.dropped.inc();
            tracing::warn!(key = %write.key, "write-back queue is full; the variant is not stored");
            return;
        };
        let this = self.clone();
        self.tasks.spawn(async move {
            let _ticket = ticket;
            traces::in_span("write_back", this.now_with_retries(write)).await;
        });
    }

    /// What counts the bytes on their way behind answers.
    pub(crate) fn queue(&self) -> Weak<Budget> {
        Arc::downgrade(&self.queue)
    }

    async fn now_with_retries(&self, write: Write) {
        let mut retries = RETRIES.iter();
        loop {
            let Err(error) = self.now(write.clone()).await else { return };
            let error = chain(&error);
            let Some(pause) = retries.next() else {
                self.counts.failed.inc();
                tracing::error!(key = %write.key, error, "a variant could not be stored");
                return;
            };
            tracing::warn!(key = %write.key, error, "a variant could not be stored yet");
            tokio::time::sleep(*pause).await;
        }
    }
}
