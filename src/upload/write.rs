//! Writes originals to their store, and recognizes the writes whose response was lost.
//!
//! The store may have written an object although its response did not arrive. The next attempt then finds that its
//! precondition fails, or that its multipart upload is gone. The id of the upload in the metadata tells if the object is
//! its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::error::Elapsed;
use uuid::Uuid;

use super::error::UploadError;
use super::key_turns::{KeyTurn, KeyTurns};
use super::metadata::{self, UploadMetadata};
use super::request::UploadSource;
use super::stored::{StoredOriginal, rfc3339};
use crate::origin::{Attributes, ObjectMeta, Precondition, PutOutcome, Spool, Store, StoreError, UploadBuffers};
use crate::support::deadline::Deadline;
use crate::variant::ObjectKey;

#[derive(Debug)]
pub(super) struct OriginalWriter {
    originals: Store,
    buffers: Arc<UploadBuffers>,
    cache_control: String,
    turns: KeyTurns,
}

/// One write.
#[derive(Debug)]
pub(super) struct OriginalWrite<'a> {
    pub(super) key: &'a ObjectKey,
    /// Id of the upload.
    pub(super) id: &'a Uuid,
    pub(super) source: &'a UploadSource,
    pub(super) precondition: Precondition,
}

/// Result of a write that did not fail.
#[derive(Debug)]
pub(super) enum WriteOutcome {
    /// The original is stored.
    Written,
    /// An earlier completion of the same presigned upload has stored it.
    WrittenEarlier,
    /// The precondition failed. Contains the object under the key, if there still is one.
    NotWritten(Option<ObjectMeta>),
    /// Another upload wrote the key at the same time.
    Contended,
}

/// How long a failed write waits for the store to tell if it has the object.
const RECOGNITION_WAIT: Duration = Duration::from_secs(1);

impl OriginalWriter {
    pub(super) fn new(originals: Store, buffers: Arc<UploadBuffers>, cache_control: String) -> Self {
        Self { originals, buffers, cache_control, turns: KeyTurns::default() }
    }

    /// # Errors
    /// The store cannot hold an object under `key`.
    pub(super) async fn check_storable(&self, key: &ObjectKey) -> Result<(), UploadError> {
        let reason = self.originals.why_unstorable(key).await.map_err(|error| UploadError::from_store(&error))?;
        reason.map_or(Ok(()), |reason| Err(UploadError::Unstorable(reason)))
    }

    /// Waits until no other upload of this node writes `key`.
    pub(super) async fn turn(&self, key: &ObjectKey) -> KeyTurn {
        self.turns.acquire(key).await
    }

    /// Writes an original, or finds out that it was written. Sets its ETag and time.
    ///
    /// # Errors
    /// The store failed, and does not contain the object as far as it answers.
    pub(super) async fn write(
        &self,
        write: OriginalWrite<'_>,
        original: &mut StoredOriginal,
        spool: Spool,
        deadline: &Deadline,
    ) -> Result<WriteOutcome, StoreError> {
        match write.source {
            UploadSource::Request => {
                let now = deadline.run(self.originals.time()).await.map_err(timeout)?;
                original.time = rfc3339(self.turns.next_time(now));
                self.write_once(&write, original, spool, deadline).await
            }
            UploadSource::Presigned { .. } if write.precondition == Precondition::None => {
                // A repeated completion does not write again, not even at the same time on another node.
                let existing = self.find(write.key, deadline).await?;
                if let Some(outcome) = existing.as_ref().and_then(|object| write.recognize(object, original)) {
                    return Ok(outcome);
                }
                let precondition = existing.map_or(Precondition::Absent, |object| Precondition::Matches(object.etag));
                let write = OriginalWrite { precondition, ..write };
                match self.write_once(&write, original, spool, deadline).await? {
                    WriteOutcome::NotWritten(_) => Ok(WriteOutcome::Contended),
                    outcome => Ok(outcome),
                }
            }
            UploadSource::Presigned { .. } => self.write_once(&write, original, spool, deadline).await,
        }
    }

    async fn write_once(
        &self,
        write: &OriginalWrite<'_>,
        original: &mut StoredOriginal,
        spool: Spool,
        deadline: &Deadline,
    ) -> Result<WriteOutcome, StoreError> {
        let attributes = Attributes {
            content_type: original.content_type.clone(),
            cache_control: self.cache_control.clone(),
            metadata: metadata::of_upload(original, &write.id.simple().to_string()),
        };
        let precondition = write.precondition.clone();
        let limits = (&*self.buffers, deadline);
        match self.originals.put_spooled(write.key, spool, &attributes, precondition, limits).await {
            Ok(PutOutcome::Stored(etag)) => {
                original.etag = etag.into();
                Ok(WriteOutcome::Written)
            }
            Ok(PutOutcome::PreconditionFailed) => {
                let existing = self.find(write.key, deadline).await?;
                let own = existing.as_ref().and_then(|object| write.recognize(object, original));
                Ok(own.unwrap_or(WriteOutcome::NotWritten(existing)))
            }
            Err(error) if may_have_written(&error) => {
                let existing = tokio::time::timeout(RECOGNITION_WAIT, self.originals.head(write.key)).await;
                let existing = existing.unwrap_or(Ok(None)).unwrap_or(None);
                let own = existing.and_then(|object| write.recognize(&object, original)).ok_or(error)?;
                // The store answers again.
                deadline.restart();
                Ok(own)
            }
            Err(error) => Err(error),
        }
    }

    /// The object under a key.
    async fn find(&self, key: &ObjectKey, deadline: &Deadline) -> Result<Option<ObjectMeta>, StoreError> {
        deadline.run(self.originals.head(key)).await.map_err(timeout)?
    }
}

impl OriginalWrite<'_> {
    /// The outcome if this upload has written `object`.
    fn recognize(&self, object: &ObjectMeta, original: &mut StoredOriginal) -> Option<WriteOutcome> {
        let metadata = UploadMetadata::read(object);
        metadata.id.filter(|id| *id == self.id.simple().to_string())?;
        original.etag = object.etag.to_string();
        original.time = metadata.time?;
        Some(match self.source {
            UploadSource::Request => WriteOutcome::Written,
            UploadSource::Presigned { .. } => WriteOutcome::WrittenEarlier,
        })
    }
}

fn timeout(elapsed: Elapsed) -> StoreError {
    StoreError::Timeout { source: elapsed.into() }
}

/// True if the store may have written the object although the write failed.
pub(super) fn may_have_written(error: &StoreError) -> bool {
    match error {
        // A multipart upload that was completed already is unknown, which is among the other errors.
        StoreError::Timeout { .. }
        | StoreError::Unavailable { .. }
        | StoreError::RootMissing { .. }
        | StoreError::Other { .. } => true,
        StoreError::Forbidden { .. }
        | StoreError::ClockSkew { .. }
        | StoreError::NoCredentials { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Truncated { .. }
        | StoreError::Replaced
        | StoreError::RangeNotSatisfiable { .. }
        | StoreError::Busy
        | StoreError::UploadMemoryFull => false,
    }
}
