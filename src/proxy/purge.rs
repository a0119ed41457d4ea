//! Forgetting every variant of one original: in memory, on their way, and in their store.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Proxy;
use crate::origin::{PAGE_OBJECTS_MAX, StoreError};
use crate::variant::ObjectKey;

/// Why the stored variants of an original could not all be deleted. Memory has forgotten them all the same; the purge is to
/// be tried again.
#[derive(Debug, thiserror::Error)]
#[error("the stored variants could not all be deleted; {deleted} were")]
pub struct PurgeError {
    pub deleted: usize,
    #[source]
    source: StoreError,
}

/// Deletions at once.
const DELETIONS: usize = 16;

impl Proxy {
    /// Forgets every variant of `original` and deletes the stored ones; says how many those were. Requests that come after it
    /// get the original as it is now. What was being made before is an answer to those who wait for it, but is not kept.
    ///
    /// # Errors
    /// The variants' store failed.
    pub async fn purge(&self, original: &ObjectKey) -> Result<usize, PurgeError> {
        // In this order: what is being made looks at the record, before it is stored and after.
        self.purges.record(original);
        self.forget(original);
        let mut deleted = 0;
        let ended = self.delete_stored(original, &mut deleted).await;
        let counts = &self.metrics.purges;
        counts.variants.inc_by(deleted as u64);
        if ended.is_ok() {
            counts.done.inc()
        } else {
            counts.failed.inc()
        };
        ended.map_err(|source| PurgeError { deleted, source })?;
        tracing::info!(%original, deleted, "purged");
        Ok(deleted)
    }

    /// Forgets what memory holds of all originals, and has nothing of what is being made kept there.
    pub fn forget_renditions(&self) {
        self.renditions.forget_all(|_| true);
    }

    /// Forgets what memory holds of `original`, failures too.
    pub(super) fn forget(&self, original: &ObjectKey) {
        self.renditions.forget_all(|variant| variant.original == *original);
        self.sights.forget_all(|key| key == original);
    }

    async fn delete_stored(&self, original: &ObjectKey, deleted: &mut usize) -> Result<(), StoreError> {
        let folder = format!("{original}/");
        let mut after = None;
        loop {
            let page = self.variants.list(&folder, after.as_deref(), PAGE_OBJECTS_MAX).await?;
            // Deeper ones are variants of other originals, below a folder that is called like this one.
            let own = page.objects.into_iter().map(|listed| listed.key);
            let own: Vec<ObjectKey> = own.filter(|key| !key.as_str()[folder.len()..].contains('/')).collect();
            let delete = |key: ObjectKey| async move { self.variants.delete(&key, None).await };
            let mut deletions = stream::iter(own).map(delete).buffer_unordered(DELETIONS);
            while deletions.try_next().await?.is_some() {
                *deleted += 1;
            }
            drop(deletions);
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}
