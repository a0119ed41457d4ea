//! Purges: every variant of an original is removed from memory and from the store.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::origin::{PAGE_OBJECTS_MAX, Store, StoreError};
use crate::variant::ObjectKey;
use crate::variants::Variants;

/// Not all stored variants of an original could be deleted. They are removed from memory all the same; the purge should be
/// repeated.
#[derive(Debug, thiserror::Error)]
#[error("not all stored variants could be deleted; {deleted} were")]
pub struct PurgeError {
    pub deleted: usize,
    #[source]
    source: StoreError,
}

/// Concurrent deletions.
const DELETIONS: usize = 16;

impl Variants {
    /// Removes every variant of `original` from memory and from the store, and returns the number of stored variants that
    /// were deleted. Later requests see the original as it is now. A variant in the making is still sent to its waiters, but
    /// it is neither cached nor stored.
    ///
    /// # Errors
    /// The variants' store failed.
    pub async fn purge(&self, original: &ObjectKey) -> Result<usize, PurgeError> {
        // The record comes first: writers check it before and after they store a variant.
        self.maker.resources().invalidations.record(original);
        self.forget(original);
        let purged = delete_stored(&self.store, original).await;
        match &purged {
            Ok(deleted) => {
                self.metrics.variants.inc_by(*deleted as u64);
                self.metrics.done.inc();
                tracing::info!(%original, deleted, "purged");
            }
            Err(error) => {
                self.metrics.variants.inc_by(error.deleted as u64);
                self.metrics.failed.inc();
            }
        }
        purged
    }

    /// Removes the variants of `original` from memory, cached errors included.
    pub fn forget(&self, original: &ObjectKey) {
        self.cache.invalidate_matching(|variant| variant.original == *original);
    }

    /// Removes all variants from memory. A variant in the making is sent to its waiters, but not cached.
    pub fn forget_all(&self) {
        self.cache.invalidate_matching(|_| true);
    }
}

/// Deletes every stored variant of `original` and returns their number.
///
/// # Errors
/// The store failed; it may have deleted some of them.
pub async fn delete_stored(store: &Store, original: &ObjectKey) -> Result<usize, PurgeError> {
    let mut deleted = 0;
    match delete_counting(store, original, &mut deleted).await {
        Ok(()) => Ok(deleted),
        Err(source) => Err(PurgeError { deleted, source }),
    }
}

async fn delete_counting(store: &Store, original: &ObjectKey, deleted: &mut usize) -> Result<(), StoreError> {
    let folder = format!("{original}/");
    let mut after = None;
    loop {
        let page = store.list(&folder, after.as_deref(), PAGE_OBJECTS_MAX).await?;
        // Deeper objects are variants of other originals, in a folder with the name of this original.
        let keys = page.objects.into_iter().map(|listed| listed.key);
        let variants: Vec<ObjectKey> = keys.filter(|key| !key.as_str()[folder.len()..].contains('/')).collect();
        let delete = |key: ObjectKey| async move { store.delete(&key, None).await };
        let mut deletions = stream::iter(variants).map(delete).buffer_unordered(DELETIONS);
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
