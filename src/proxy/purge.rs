//! Purges originals on behalf of the operator, of uploads and of the bucket's event notifications.

use super::Proxy;
use super::s3_events::{self, EventError, EventOutcome, Notification};
use crate::support::error_chain::chain;
use crate::variant::ObjectKey;
use crate::variants::PurgeError;

impl Proxy {
    /// Removes every variant of `original` from memory and from the store, and returns the number of stored variants
    /// that were deleted.
    ///
    /// # Errors
    /// The variants' store failed.
    pub async fn purge(&self, original: &ObjectKey) -> Result<usize, PurgeError> {
        self.originals.forget(original);
        self.variants.purge(original).await
    }

    /// Purges the originals that an S3 event notification reports as written or removed.
    ///
    /// # Errors
    /// See [`EventError`].
    pub async fn handle_event(&self, body: &[u8]) -> Result<EventOutcome, EventError> {
        let outcome = self.purge_changed(body).await;
        let metrics = &self.metrics.purges;
        match &outcome {
            Ok(EventOutcome::Purged { originals: 1.. }) => metrics.applied.inc(),
            Ok(EventOutcome::Purged { .. } | EventOutcome::ConfirmSubscription) => metrics.ignored.inc(),
            Err(EventError::Unrecognized) => metrics.unknown.inc(),
            Err(EventError::Purge(_)) => metrics.events_failed.inc(),
        };
        outcome
    }

    async fn purge_changed(&self, body: &[u8]) -> Result<EventOutcome, EventError> {
        let changes = match s3_events::parse(body)? {
            Notification::Changes(changes) => changes,
            Notification::SubscriptionConfirmation => {
                tracing::warn!("SNS asks to confirm a subscription; open the SubscribeURL of the message");
                return Ok(EventOutcome::ConfirmSubscription);
            }
        };
        let key_of = |change: &s3_events::Change| self.originals.store().key_of(&change.bucket, &change.key);
        let mut originals: Vec<ObjectKey> = changes.iter().filter_map(key_of).collect();
        originals.sort_unstable();
        originals.dedup();
        for original in &originals {
            self.purge(original).await?;
        }
        Ok(EventOutcome::Purged { originals: originals.len() })
    }

    /// Removes all cached data about an original that an upload created, such as a cached 404.
    pub(super) fn forget(&self, original: &ObjectKey) {
        self.originals.forget(original);
        self.variants.forget(original);
    }

    /// Purges an original that an upload replaced. If the variants' store fails, the stored variants are replaced
    /// later, because the ETag of the original no longer matches the one in their metadata.
    pub(super) async fn purge_replaced(&self, original: &ObjectKey) {
        for is_last_attempt in [false, false, true] {
            match self.purge(original).await {
                Ok(_) => return,
                Err(error) if is_last_attempt => {
                    tracing::error!(%original, error = chain(&error), "variants of a replaced original are still stored; purge it");
                }
                Err(_) => {}
            }
        }
    }

    /// Removes all variants from memory.
    pub fn forget_renditions(&self) {
        self.variants.forget_all();
    }
}
