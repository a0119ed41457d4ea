//! Variants on their way into the store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::budget::Budget;
use super::problem::chain;
use crate::origin::{Attributes, Precondition, Put, Store, StoreError};
use crate::tasks::Tasks;
use crate::variant::ObjectKey;

/// An object to be written.
#[derive(Debug, Clone)]
pub(super) struct Write {
    pub(super) key: ObjectKey,
    pub(super) bytes: Bytes,
    pub(super) attributes: Attributes,
    pub(super) precondition: Precondition,
}

/// The way into the variants' store: at once, or behind the answer.
#[derive(Debug, Clone)]
pub(super) struct WriteBack {
    variants: Store,
    queue: Arc<Budget>,
    tasks: Tasks,
}

/// How long to wait before each further try of a write that nobody waits for.
const RETRIES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];

impl WriteBack {
    /// At most `bytes_max` may be on their way behind answers.
    pub(super) fn new(variants: Store, bytes_max: u64, tasks: Tasks) -> Self {
        Self { variants, queue: Arc::new(Budget::new(bytes_max, 0, Duration::ZERO)), tasks }
    }

    /// Writes and waits until the store has confirmed it. If another node was first, its bytes stand.
    pub(super) async fn now(&self, write: Write) -> Result<(), StoreError> {
        match self.variants.put(&write.key, write.bytes, &write.attributes, write.precondition).await? {
            Put::Stored(_) => tracing::debug!(key = %write.key, "variant stored"),
            Put::PreconditionFailed => tracing::debug!(key = %write.key, "another node stored this variant first"),
        }
        Ok(())
    }

    /// Writes behind the answer, on a task that shutdown waits for. What finds the queue full is dropped: the variant
    /// is made again when it is asked for after memory has forgotten it.
    pub(super) fn later(&self, write: Write) {
        let Ok(ticket) = self.queue.ticket_now(write.bytes.len() as u64) else {
            tracing::warn!(key = %write.key, "write-back queue is full; the variant is not stored");
            return;
        };
        let this = self.clone();
        self.tasks.spawn(async move {
            let _ticket = ticket;
            this.now_with_retries(write).await;
        });
    }

    async fn now_with_retries(&self, write: Write) {
        let mut retries = RETRIES.iter();
        loop {
            let Err(error) = self.now(write.clone()).await else { return };
            let error = chain(&error);
            let Some(pause) = retries.next() else {
                tracing::error!(key = %write.key, error, "a variant could not be stored");
                return;
            };
            tracing::warn!(key = %write.key, error, "a variant could not be stored yet");
            tokio::time::sleep(*pause).await;
        }
    }
}
