//! Object stores.
//!
//! A [`Store`] is a folder (`file:directory`) or a prefix in a bucket (`s3://bucket/prefix`). One conformance suite
//! tests both. Originals are read from one store; variants are written to another, or to another prefix of the same
//! store. Requests to S3 are retried after transient failures, every operation has a timeout, and a body that ends
//! early is an error. Only this module uses storage SDKs. It does not depend on image processing or HTTP serving.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::config::{self, StoreAddress};
use crate::observability::metrics;
use crate::support::deadline::Deadline;
use crate::support::open_bodies::BodyPermit;
use crate::support::priority;
use crate::variant::ObjectKey;

mod body;
mod error;
mod file;
mod object;
pub mod probe;
mod public_url;
mod s3;
mod spool;
mod timeout;
mod upload_buffers;

pub use body::{Body, Object};
pub use error::{CredentialsError, StoreError, StoreOpenError};
pub use object::{
    Attributes, ByteRange, DeleteOutcome, ListPage, ListedObject, Names, ObjectMeta, PAGE_OBJECTS_MAX, Precondition,
    PutOutcome, UnstorableKey,
};
pub use s3::presign::Presigner;
pub use spool::Spool;
pub use upload_buffers::UploadBuffers;

use file::FileStore;
use public_url::PublicUrl;
use s3::S3Store;

/// Maximum number of times that an object is read into memory from its start, if it is replaced each time.
pub const READS_MAX: usize = 3;

/// A read that has no answer after this time counts as a failure for the circuit breaker, but it continues.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// A handle to an object store. Clones are cheap and refer to the same store.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
    public_url: Option<PublicUrl>,
}

#[derive(Debug, Clone)]
enum Backend {
    File(Arc<FileStore>),
    S3(Arc<S3Store>),
}

impl Store {
    /// Creates the folder of a store, if its address is a folder that does not exist.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn create_folder(address: &StoreAddress) -> Result<(), StoreOpenError> {
        match address {
            StoreAddress::File { directory } => file::create_folder(directory),
            StoreAddress::S3 { .. } => Ok(()),
        }
    }

    /// Opens the store at `address`. `public_url` is the base URL under which clients reach the same objects, including
    /// the store's prefix; empty if they cannot. Requests to S3 are counted in `metrics`.
    ///
    /// # Errors
    /// The public URL cannot be parsed, or the folder does not exist or cannot be used.
    pub async fn open(
        address: &StoreAddress,
        public_url: &str,
        s3: &config::S3,
        metrics: &metrics::S3Metrics,
    ) -> Result<Self, StoreOpenError> {
        let backend = match address {
            StoreAddress::File { directory } => Backend::File(Arc::new(FileStore::open(directory.clone())?)),
            StoreAddress::S3 { bucket, prefix } => {
                Backend::S3(Arc::new(S3Store::open(bucket, prefix, s3, metrics).await))
            }
        };
        Ok(Self { backend, public_url: PublicUrl::parse(public_url)? })
    }

    /// The metadata of an object; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        match &self.backend {
            Backend::File(store) => store.head(key).await,
            Backend::S3(store) => store.guarded_read(ANSWER_TIME_MAX, store.head(key)).await,
        }
    }

    /// Like [`Store::head`], for a request that the store should answer within `time`. Otherwise, it counts as a failure for
    /// the circuit breaker, but it continues.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn head_expecting(&self, key: &ObjectKey, time: Duration) -> Result<Option<ObjectMeta>, StoreError> {
        match &self.backend {
            Backend::File(store) => store.head(key).await,
            Backend::S3(store) => store.guarded_read(time.min(ANSWER_TIME_MAX), store.head(key)).await,
        }
    }

    /// An object, or a range of it; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`StoreError`]. [`StoreError::RangeNotSatisfiable`] if the range is outside the object.
    pub async fn get(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        match &self.backend {
            Backend::File(store) => store.get(key, range).await,
            Backend::S3(store) => store.guarded_read(ANSWER_TIME_MAX, store.get(key, range)).await,
        }
    }

    /// Like [`Store::get`], for a body that is sent to a client. It counts towards the limits of open bodies, whose
    /// `permit` it holds until it has opened, and not towards `s3.concurrency`, because a slow client may take long.
    ///
    /// # Errors
    /// See [`Store::get`].
    pub async fn stream(
        &self,
        key: &ObjectKey,
        range: Option<ByteRange>,
        permit: BodyPermit,
    ) -> Result<Option<Object>, StoreError> {
        let opened = match &self.backend {
            Backend::File(store) => store.get(key, range).await,
            Backend::S3(store) => store.guarded(store.stream(key, range)).await,
        };
        drop(permit);
        opened
    }

    /// Reads a whole object into memory if it has at most `bytes_max` bytes.
    ///
    /// # Errors
    /// See [`StoreError`]. [`StoreError::TooLarge`] if the object is larger; it is not read then.
    pub async fn get_bounded(
        &self,
        key: &ObjectKey,
        bytes_max: u64,
    ) -> Result<Option<(ObjectMeta, Bytes)>, StoreError> {
        let mut attempts = 1..READS_MAX;
        loop {
            let Some(object) = self.get(key, None).await? else { return Ok(None) };
            match object.collect(bytes_max).await {
                Err(StoreError::Replaced) if attempts.next().is_some() => {}
                collected => return collected.map(Some),
            }
        }
    }

    /// Writes an object atomically: readers see all of it with its attributes, or nothing.
    ///
    /// # Errors
    /// See [`StoreError`]. After an error the object may or may not have been written.
    pub async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<PutOutcome, StoreError> {
        match &self.backend {
            Backend::File(store) => store.put(key, bytes, attributes, precondition).await,
            Backend::S3(store) => store.guarded(store.put(key, bytes, attributes, precondition)).await,
        }
    }

    /// Deletes an object; a missing one is not an error. With `if_match`, only deletes the object with this ETag. S3
    /// servers without conditional deletes ignore the condition, so correctness must not depend on it.
    ///
    /// # Errors
    /// See [`StoreError`]. After an error the object may or may not have been deleted.
    pub async fn delete(&self, key: &ObjectKey, if_match: Option<&str>) -> Result<DeleteOutcome, StoreError> {
        match &self.backend {
            Backend::File(store) => store.delete(key, if_match).await,
            Backend::S3(store) => store.guarded(store.delete(key, if_match)).await,
        }
    }

    /// One page of the objects whose keys start with `prefix` (any text, not only whole segments) and follow `after`:
    /// at most `objects_max`, and at most [`PAGE_OBJECTS_MAX`]. Objects whose names are not valid keys are skipped.
    /// Concurrent writes and deletions may or may not be included.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, objects_max: usize) -> Result<ListPage, StoreError> {
        let objects_max = objects_max.clamp(1, PAGE_OBJECTS_MAX);
        match &self.backend {
            Backend::File(store) => store.list(prefix, after, objects_max).await,
            Backend::S3(store) => store.guarded_read(ANSWER_TIME_MAX, store.list(prefix, after, objects_max)).await,
        }
    }

    /// The names that start with the last part of `prefix`, in the folder that the rest of it names: at most
    /// `names_max`, and at most [`PAGE_OBJECTS_MAX`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn list_names(&self, prefix: &str, names_max: usize) -> Result<Names, StoreError> {
        let names_max = names_max.clamp(1, PAGE_OBJECTS_MAX);
        match &self.backend {
            Backend::File(store) => store.list_names(prefix, names_max).await,
            Backend::S3(store) => store.guarded(store.list_names(prefix, names_max)).await,
        }
    }

    /// The reason why the store cannot hold an object under `key`, as far as it can be known before a write. A bucket
    /// holds every key.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn why_unstorable(&self, key: &ObjectKey) -> Result<Option<UnstorableKey>, StoreError> {
        match &self.backend {
            Backend::File(store) => store.why_unstorable(key).await,
            Backend::S3(_) => Ok(None),
        }
    }

    /// True while the circuit breaker refuses requests because too many have failed.
    #[must_use]
    pub fn is_circuit_open(&self) -> bool {
        match &self.backend {
            Backend::File(_) => false,
            Backend::S3(store) => store.is_circuit_open(),
        }
    }

    /// True if the circuit breaker would refuse a request now. Unlike [`Store::is_circuit_open`], this is false when the time of
    /// the next trial request has come.
    #[must_use]
    pub fn refuses_requests(&self) -> bool {
        match &self.backend {
            Backend::File(_) => false,
            Backend::S3(store) => store.refuses_requests(),
        }
    }

    /// The key of an object in a bucket; `None` if the object is outside this store, or the store is a folder.
    #[must_use]
    pub fn key_of(&self, bucket: &str, object: &str) -> Option<ObjectKey> {
        match &self.backend {
            Backend::File(_) => None,
            Backend::S3(store) => store.key_of(bucket, object),
        }
    }

    /// A temporary file for an upload: in the store if it is a folder, otherwise in the system's temporary folder.
    ///
    /// # Errors
    /// The file cannot be created.
    pub async fn spool(&self) -> Result<Spool, StoreError> {
        match &self.backend {
            Backend::File(store) => store.spool().await,
            Backend::S3(_) => {
                let file = priority::blocking(tempfile::tempfile).await.map_err(StoreError::other)?;
                Ok(Spool::unlinked(file.map_err(StoreError::from_io)?))
            }
        }
    }

    /// Like [`Store::put`], for objects of any size that the store accepts. Only a bounded part of the object is in
    /// memory at a time, with a permit of `buffers`. All requests to S3 end by `deadline`, which each transferred part restarts. After a failure,
    /// no part of the object stays in the store. If the cleanup fails too, its failure is logged.
    ///
    /// # Errors
    /// See [`Store::put`].
    pub async fn put_spooled(
        &self,
        key: &ObjectKey,
        spool: Spool,
        attributes: &Attributes,
        precondition: Precondition,
        (buffers, deadline): (&UploadBuffers, &Deadline),
    ) -> Result<PutOutcome, StoreError> {
        match &self.backend {
            Backend::File(store) => store.put_spooled(key, spool, attributes, precondition).await,
            Backend::S3(store) => {
                let put = store.put_spooled(key, &spool, attributes, precondition, (buffers, deadline));
                store.guarded(put).await
            }
        }
    }

    /// The time by the clock that all nodes share: the bucket's, or the local one if the store is a folder.
    pub async fn time(&self) -> SystemTime {
        match &self.backend {
            Backend::File(_) => SystemTime::now(),
            Backend::S3(store) => store.time().await,
        }
    }

    /// A signer of upload URLs for this store; `None` if the store is a folder. The URLs point to `endpoint`, or to the
    /// store's endpoint if `endpoint` is empty.
    #[must_use]
    pub fn presigner(&self, endpoint: &str) -> Option<Presigner> {
        match &self.backend {
            Backend::File(_) => None,
            Backend::S3(store) => Some(Presigner::new(store.clone(), endpoint)),
        }
    }

    /// The percent-encoded URL under which clients reach an object, if they can.
    #[must_use]
    pub fn public_url(&self, key: &ObjectKey) -> Option<String> {
        self.public_url.as_ref().map(|url| url.of_key(key))
    }
}
