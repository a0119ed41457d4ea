//! Deletes every stored variant of an original.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::origin::{PAGE_OBJECTS_MAX, Store, StoreError};
use crate::variant::ObjectKey;

/// Not all stored variants of an original could be deleted. The variants are removed from memory nevertheless. The
/// purge should be repeated.
#[derive(Debug, thiserror::Error)]
#[error("not all stored variants could be deleted; {deleted} were")]
pub struct PurgeError {
    pub deleted: usize,
    #[source]
    source: StoreError,
}

/// Concurrent deletions.
const DELETIONS: usize = 16;

/// Deletes every stored variant of `original` and returns their number.
///
/// # Errors
/// The store failed; it may have deleted some of the variants.
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
        // Objects in subfolders are variants of other originals, whose folder has the name of this original.
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
