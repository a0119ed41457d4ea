//! The stores: where objects live.
//!
//! A [`Store`] is a folder (`file:directory`) or a prefix in a bucket (`s3://bucket/prefix`), with the same verbs and, by one
//! suite of tests, the same behaviour. Originals come from one store; variants go back to the same or another. S3 is asked
//! again after what passes, everything ends within its timeouts, and a body that ends early is an error.
//! This is the only module that names the S3 SDK; it knows no pixels and serves no HTTP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::config;
use crate::observability::metrics;
use crate::support::priority;
use crate::variant::ObjectKey;

mod body;
mod file;
pub mod probe;
mod s3;
mod address;
mod spool;

pub use address::OpenError;
pub use body::Body;
pub use s3::presign::Presigner;
pub use spool::Spool;

use address::Address;
use file::FileStore;
use s3::S3Store;

/// A place for objects. Cloning is cheap and gives the same store.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
    public_url: Option<Arc<str>>,
}

#[derive(Debug, Clone)]
enum Backend {
    File(Arc<FileStore>),
    S3(Arc<S3Store>),
}

/// What a store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Length of the whole object.
    pub bytes: u64,
    /// Strong, in quotes; another one whenever the object is written anew.
    pub etag: Box<str>,
    pub last_modified: SystemTime,
    pub content_type: Option<Box<str>>,
    /// User metadata; names in lower case.
    pub metadata: Vec<(String, String)>,
}

/// An object, or the part of it that was asked for.
#[derive(Debug)]
pub struct Object {
    pub meta: Meta,
    /// Its bytes, as many as were asked for: a stream that fails if it would end early.
    pub body: Body,
}

/// What is written with an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub content_type: String,
    pub cache_control: String,
    /// Names in lower case, of letters, digits and hyphens.
    pub metadata: Vec<(String, String)>,
}

/// When an object may be written (RFC 9110 section 13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever is there.
    None,
    /// Only where there is nothing: `If-None-Match: *`.
    Absent,
    /// Only in place of the object that has this ETag: `If-Match`.
    Matches(Box<str>),
}

/// How a write ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// Stored, and durable, under this ETag.
    Stored(Box<str>),
    /// The precondition did not hold; what was there stands.
    PreconditionFailed,
}

/// How a deletion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delete {
    /// The object is not there, whether or not it was.
    Gone,
    /// The precondition did not hold: another object is there, or none.
    PreconditionFailed,
}

/// An object as a listing names it: no attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: ObjectKey,
    /// Length of the object.
    pub bytes: u64,
    pub etag: Box<str>,
    pub last_modified: SystemTime,
}

/// Some of the objects of a store, in the order of their keys' bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub objects: Vec<Listed>,
    /// Where the next page begins, to be given as `after`; `None` if this is the last one.
    pub next: Option<String>,
}

/// The most that one page of a listing has: what S3 gives.
pub const PAGE_OBJECTS_MAX: usize = 1000;

/// Bytes of an object (RFC 9110 section 14.1.2). A last byte beyond the object's end means its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    From { first: u64 },
    FromTo { first: u64, last: u64 },
    Suffix { bytes: u64 },
}

/// Why a store did not do what it was asked to. That there is no such object is no error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no answer within its time")]
    Timeout {
        #[source]
        source: BoxError,
    },
    #[error("access denied; S3 also says so of what does not exist unless s3:ListBucket is granted on the bucket")]
    Forbidden {
        #[source]
        source: BoxError,
    },
    #[error("this machine's clock and the store's are too far apart for signatures: set this one (NTP)")]
    Skewed {
        #[source]
        source: BoxError,
    },
    #[error("the store cannot be reached or is failing")]
    Unavailable {
        #[source]
        source: BoxError,
    },
    #[error("{bytes} bytes, more than the {bytes_max} that are taken")]
    TooLarge { bytes: u64, bytes_max: u64 },
    #[error("{received} bytes came of {promised}")]
    Truncated { received: u64, promised: u64 },
    #[error("the range lies outside of the object's {bytes} bytes")]
    RangeNotSatisfiable { bytes: u64 },
    #[error("too many requests to the store are under way (s3.concurrency)")]
    Busy,
    #[error("the store refused")]
    Other {
        #[source]
        source: BoxError,
    },
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Store {
    /// Opens `address`: `file:directory` (made if it is missing) or `s3://bucket/prefix`. `public_url` is where clients reach
    /// the same objects: the URL of what the address names, its prefix included; empty if they cannot. Requests to S3 are
    /// counted in `counts`.
    ///
    /// # Errors
    /// An address or URL that cannot be understood, a folder that cannot be used, or no credentials.
    pub async fn open(
        address: &str,
        public_url: &str,
        s3: &config::S3,
        counts: &metrics::S3Metrics,
    ) -> Result<Self, OpenError> {
        let backend = match address.parse()? {
            Address::File { directory } => Backend::File(Arc::new(FileStore::open(directory).await?)),
            Address::S3 { bucket, prefix } => Backend::S3(Arc::new(S3Store::open(bucket, prefix, s3, counts).await?)),
        };
        Ok(Self { backend, public_url: address::public_url(public_url)? })
    }

    /// What is known of an object; `None` if there is none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>, StoreError> {
        match &self.backend {
            Backend::File(store) => store.head(key).await,
            Backend::S3(store) => store.guarded(Box::pin(store.head(key))).await,
        }
    }

    /// An object, or a part of it; `None` if there is none.
    ///
    /// # Errors
    /// See [`StoreError`]. [`StoreError::RangeNotSatisfiable`] if no byte of `range` is in the object.
    pub async fn get(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        match &self.backend {
            Backend::File(store) => store.get(key, range).await,
            Backend::S3(store) => store.guarded(Box::pin(store.get(key, range))).await,
        }
    }

    /// A whole object in memory, if it has at most `bytes_max`.
    ///
    /// # Errors
    /// See [`StoreError`]. [`StoreError::TooLarge`] before any of it is read.
    pub async fn get_bounded(&self, key: &ObjectKey, bytes_max: u64) -> Result<Option<(Meta, Bytes)>, StoreError> {
        match self.get(key, None).await? {
            Some(object) => object.collect(bytes_max).await.map(Some),
            None => Ok(None),
        }
    }

    /// Writes an object. It is there whole, with its attributes, or not at all.
    ///
    /// # Errors
    /// See [`StoreError`]. After an error the object may or may not have been written.
    pub async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<Put, StoreError> {
        match &self.backend {
            Backend::File(store) => store.put(key, bytes, attributes, precondition).await,
            Backend::S3(store) => store.guarded(Box::pin(store.put(key, bytes, attributes, precondition))).await,
        }
    }

    /// Deletes an object; one that is not there is no error. With `if_match` only the object that has this ETag. A server that
    /// does not know conditional deletes ignores the condition: nothing may depend on it but thrift.
    ///
    /// # Errors
    /// See [`StoreError`]. After an error the object may or may not have been deleted.
    pub async fn delete(&self, key: &ObjectKey, if_match: Option<&str>) -> Result<Delete, StoreError> {
        match &self.backend {
            Backend::File(store) => store.delete(key, if_match).await,
            Backend::S3(store) => store.guarded(Box::pin(store.delete(key, if_match))).await,
        }
    }

    /// One page of the objects whose keys begin with `prefix` (any text, not only whole segments) and come behind `after`:
    /// at most `objects_max` of them, and never more than [`PAGE_OBJECTS_MAX`]. Objects whose names are no keys are passed
    /// over. What is written or deleted meanwhile may be in it or not.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn list(&self, prefix: &str, after: Option<&str>, objects_max: usize) -> Result<Page, StoreError> {
        let objects_max = objects_max.clamp(1, PAGE_OBJECTS_MAX);
        match &self.backend {
            Backend::File(store) => store.list(prefix, after, objects_max).await,
            Backend::S3(store) => store.guarded(Box::pin(store.list(prefix, after, objects_max))).await,
        }
    }

    /// Whether so many requests have failed that it is not asked for a while.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match &self.backend {
            Backend::File(_) => false,
            Backend::S3(store) => store.is_gone(),
        }
    }

    /// What an object in a bucket is called here: `None` if it lies outside of this store, or the store is a folder.
    #[must_use]
    pub fn key_of(&self, bucket: &str, object: &str) -> Option<ObjectKey> {
        match &self.backend {
            Backend::File(_) => None,
            Backend::S3(store) => store.key_of(bucket, object),
        }
    }

    /// A place for the bytes of an object that comes in by and by: for a folder in the folder, else among the system's
    /// temporary files.
    ///
    /// # Errors
    /// No file can be made there.
    pub async fn spool(&self) -> Result<Spool, StoreError> {
        match &self.backend {
            Backend::File(store) => store.spool().await,
            Backend::S3(_) => {
                let file = priority::blocking(tempfile::tempfile).await;
                let file = file.map_err(|panic| StoreError::Other { source: panic.into() })?;
                Ok(Spool::unnamed(file.map_err(spool::failed)?))
            }
        }
    }

    /// As [`Store::put`], of any size up to what the store takes, with a bounded part of it in memory at a time. If it fails,
    /// nothing of it stays behind; a part that could not be taken back is logged.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub async fn put_spooled(
        &self,
        key: &ObjectKey,
        spool: Spool,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<Put, StoreError> {
        match &self.backend {
            Backend::File(store) => store.put_spooled(key, spool, attributes, precondition).await,
            Backend::S3(store) => {
                store.guarded(Box::pin(store.put_spooled(key, &spool, attributes, precondition))).await
            }
        }
    }

    /// Who signs URLs to write to this store by, at `endpoint` or, if that is empty, where the store itself is reached; `None`
    /// for a folder.
    #[must_use]
    pub fn presigner(&self, endpoint: &str) -> Option<Presigner> {
        match &self.backend {
            Backend::File(_) => None,
            Backend::S3(store) => Some(Presigner::new(store.clone(), endpoint)),
        }
    }

    /// Where clients can reach an object, if they can: percent-encoded, every byte but `A-Z a-z 0-9 - . _ ~ /`.
    #[must_use]
    pub fn public_url(&self, key: &ObjectKey) -> Option<String> {
        let base = self.public_url.as_deref()?;
        Some(format!("{base}/{}", percent_encoding::utf8_percent_encode(key.as_str(), address::PATH)))
    }
}

impl Object {
    /// All that was asked for in memory, if the object has at most `bytes_max`.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] before any of it is read; else as the stream.
    pub async fn collect(self, bytes_max: u64) -> Result<(Meta, Bytes), StoreError> {
        let Self { meta, body } = self;
        if meta.bytes > bytes_max {
            return Err(StoreError::TooLarge { bytes: meta.bytes, bytes_max });
        }
        let bytes = body.collect().await?;
        Ok((meta, bytes))
    }
}

/// The first byte and the number of bytes that `range` means in an object of `bytes`.
fn resolve(range: ByteRange, bytes: u64) -> Result<(u64, u64), StoreError> {
    let (first, end) = match range {
        ByteRange::From { first } => (first, bytes),
        ByteRange::FromTo { first, last } => (first, last.saturating_add(1).min(bytes)),
        ByteRange::Suffix { bytes: suffix } => (bytes.saturating_sub(suffix), bytes),
    };
    if first >= end {
        return Err(StoreError::RangeNotSatisfiable { bytes });
    }
    Ok((first, end - first))
}

/// Waits at most `time` for `work`.
async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(time, work).await.map_err(|elapsed| StoreError::Timeout { source: elapsed.into() })
}
