//! Objects in an S3 bucket: read by [`read`], written, deleted and listed with the AWS SDK.
//!
//! Required permissions: `s3:GetObject` and, for writing, `s3:PutObject` and `s3:DeleteObject` on the objects, and
//! `s3:ListBucket` on the bucket. Without `s3:ListBucket`, S3 answers 403 for a missing object, and a 403 is never
//! treated as a missing object.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::Object;
use super::error::StoreError;
use super::object::{
    Attributes, ByteRange, DeleteOutcome, ListPage, ListedObject, Names, ObjectMeta, Precondition, PutOutcome,
};
use super::timeout::with_timeout;
use crate::config;
use crate::observability::metrics::{self, Counter};
use crate::support::backoff::jitter;
use crate::support::circuit_breaker::{CircuitBreaker, HANG_TIME_MIN, RequestPermit, Transition};
use crate::variant::ObjectKey;

mod body;
mod cause;
mod checksum;
mod client;
mod clock;
mod credentials;
mod endpoint;
mod error;
mod http_client;
mod instrument;
mod multipart;
mod object;
pub(super) mod presign;
mod read;
mod retry;
mod sdk_error;
mod sign;

use client::client_config;
use clock::BucketClock;
use credentials::CredentialCache;
pub(super) use error::S3ErrorResponse;
use instrument::S3Instrumentation;
use object::normalized_etag;
use read::S3Reader;
use sdk_error::{or_not_found, status, store_error};

#[derive(Debug)]
pub(super) struct S3Store {
    pub(super) client: Client,
    /// The reader, or the reason why no request can be sent.
    reader: Result<Arc<S3Reader>, String>,
    pub(super) bucket: String,
    prefix: String,
    clock: BucketClock,
    /// Permits for requests. Each is held until its response is read completely.
    requests: Arc<Semaphore>,
    circuit_breaker: CircuitBreaker,
    circuit_openings: Counter,
    pub(super) operation_timeout: Duration,
}

/// Pauses before the retries of a conditional write that conflicted with a concurrent write (409).
pub(super) const CONFLICT_PAUSES_MS: [u64; 4] = [50, 100, 200, 400];

impl S3Store {
    pub(super) async fn open(bucket: &str, prefix: &str, settings: &config::S3, metrics: &metrics::S3Metrics) -> Self {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let instrumentation = S3Instrumentation::new(metrics.clone());
        let credentials = CredentialCache::new(settings);
        let client = Client::from_conf(client_config(settings, instrumentation.clone(), &credentials).await);
        let clock = instrumentation.clock();
        let reader = S3Reader::new(&client, bucket, &prefix, settings, instrumentation, credentials).await;
        Self {
            clock,
            reader: reader.map(Arc::new),
            client,
            bucket: bucket.to_owned(),
            prefix,
            requests: Arc::new(Semaphore::new(settings.concurrency.get())),
            circuit_breaker: CircuitBreaker::new(
                settings.circuit_breaker_failures.get(),
                settings.circuit_breaker_pause,
            ),
            circuit_openings: metrics.circuit_openings.clone(),
            operation_timeout: settings.operation_timeout,
        }
    }

    /// Runs an operation unless the circuit breaker is open, and records its result. The operation is boxed, because
    /// the SDK's futures are large.
    pub(super) async fn guarded<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let permit = self.try_acquire()?;
        self.record(permit, Box::pin(operation).await)
    }

    /// Like [`Self::guarded`], for a read that should be answered within `time`. Otherwise, the circuit breaker counts a
    /// failure then, and the read continues.
    pub(super) async fn guarded_read<T>(
        &self,
        time: Duration,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let mut permit = self.try_acquire()?;
        let mut operation = Box::pin(operation);
        for time in [time, HANG_TIME_MIN] {
            match tokio::time::timeout(time, &mut operation).await {
                Ok(result) => return self.record(permit, result),
                Err(_) => self.log(permit.record_unanswered()),
            }
        }
        let result = operation.await;
        self.record(permit, result)
    }

    fn try_acquire(&self) -> Result<RequestPermit<'_>, StoreError> {
        let open = || StoreError::Unavailable { source: "the circuit breaker is open".into() };
        self.circuit_breaker.try_acquire().ok_or_else(open)
    }

    fn record<T>(&self, permit: RequestPermit<'_>, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.log(match &result {
            Err(StoreError::Timeout { .. } | StoreError::Unavailable { .. } | StoreError::NoCredentials { .. }) => {
                permit.record_failure()
            }
            // No request was sent.
            Err(StoreError::Busy | StoreError::UploadMemoryFull) => None,
            Ok(_) | Err(_) => permit.record_success(),
        });
        result
    }

    fn log(&self, transition: Option<Transition>) {
        match transition {
            Some(Transition::Opened) => {
                self.circuit_openings.inc();
                tracing::error!(bucket = self.bucket, "circuit breaker opened");
            }
            Some(Transition::Closed) => tracing::info!(bucket = self.bucket, "circuit breaker closed"),
            None => {}
        }
    }

    pub(super) fn refuses_requests(&self) -> bool {
        self.circuit_breaker.refuses()
    }

    /// The bucket's time. If no response has shown it yet, an object is listed to see one; the local time if that fails.
    pub(super) async fn time(&self) -> SystemTime {
        if self.clock.now().is_none() {
            let _ = self.guarded(self.list("", None, 1)).await;
        }
        self.clock.now().unwrap_or_else(SystemTime::now)
    }

    pub(super) fn is_circuit_open(&self) -> bool {
        self.circuit_breaker.is_open()
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let _permit = self.permit().await?;
        self.reader()?.head(key).await
    }

    pub(super) async fn get(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        let permit = with_timeout(self.operation_timeout, self.requests.clone().acquire_owned()).await;
        let permit = permit.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)?;
        let object = self.reader()?.get(key, range).await?;
        Ok(object.map(|Object { meta, body }| Object { meta, body: body.with_permit(permit) }))
    }

    /// Like [`S3Store::get`], without a permit of this store: the caller limits the number of bodies.
    pub(super) async fn stream(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        self.reader()?.get(key, range).await
    }

    fn reader(&self) -> Result<&Arc<S3Reader>, StoreError> {
        self.reader.as_ref().map_err(|reason| StoreError::Unavailable { source: reason.clone().into() })
    }

    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let put = self.put_if(key, bytes.clone(), attributes, &precondition).await?;
        let (PutOutcome::PreconditionFailed, Precondition::Matches(etag)) = (&put, precondition) else {
            return Ok(put);
        };
        // Ceph compares the header with an ETag without quotes. If the server rejects such a header, the precondition
        // has failed.
        let unquoted = Precondition::Matches(etag.trim_matches('"').into());
        match self.put_if(key, bytes, attributes, &unquoted).await {
            Err(StoreError::Other { .. }) => Ok(PutOutcome::PreconditionFailed),
            put => put,
        }
    }

    async fn put_if(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: &Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let _permit = self.permit().await?;
        let mut pauses = CONFLICT_PAUSES_MS.into_iter().map(Duration::from_millis);
        loop {
            match self.put_once(key, bytes.clone(), attributes, precondition).await {
                Err(error) if status(&error) == Some(409) && *precondition != Precondition::None => {
                    let Some(pause) = pauses.next() else { return Err(store_error(error)) };
                    tokio::time::sleep(pause + jitter(pause)).await;
                }
                Err(error) => {
                    // 404: the object to replace has been deleted.
                    let is_deleted = matches!(precondition, Precondition::Matches(_)) && status(&error) == Some(404);
                    let is_unmet = status(&error) == Some(412) || is_deleted;
                    return if is_unmet { Ok(PutOutcome::PreconditionFailed) } else { Err(store_error(error)) };
                }
                Ok(etag) => return Ok(PutOutcome::Stored(stored_etag(etag))),
            }
        }
    }

    async fn put_once(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: &Precondition,
    ) -> Result<Option<String>, SdkError<aws_sdk_s3::operation::put_object::PutObjectError>> {
        let (absent, matches) = match precondition {
            Precondition::None => (None, None),
            Precondition::Absent => (Some("*".to_owned()), None),
            Precondition::Matches(etag) => (None, Some(etag.to_string())),
        };
        let request = self.client.put_object().bucket(&self.bucket).key(self.key(key));
        let request = request.set_if_none_match(absent).set_if_match(matches);
        let request = request.content_type(&attributes.content_type).cache_control(&attributes.cache_control);
        let request = request.set_metadata(Some(attributes.metadata.iter().cloned().collect()));
        Ok(request.body(ByteStream::from(bytes)).send().await?.e_tag)
    }

    pub(super) async fn delete(&self, key: &ObjectKey, if_match: Option<&str>) -> Result<DeleteOutcome, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.delete_object().bucket(&self.bucket).key(self.key(key));
        match request.set_if_match(if_match.map(str::to_owned)).send().await {
            Ok(_) => Ok(DeleteOutcome::Deleted),
            Err(error) if if_match.is_some() && status(&error) == Some(412) => Ok(DeleteOutcome::PreconditionFailed),
            // Some servers answer 404 for a missing object.
            Err(error) => match or_not_found::<(), _>(error)? {
                None if if_match.is_some() => Ok(DeleteOutcome::PreconditionFailed),
                _ => Ok(DeleteOutcome::Deleted),
            },
        }
    }

    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        objects_max: usize,
    ) -> Result<ListPage, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{}{prefix}", self.prefix));
        let request = request.set_start_after(after.map(|after| format!("{}{after}", self.prefix)));
        let listing =
            request.max_keys(i32::try_from(objects_max).unwrap_or(i32::MAX)).send().await.map_err(store_error)?;
        let contents = listing.contents.unwrap_or_default();
        let last = contents.last().and_then(|object| object.key()).and_then(|key| key.strip_prefix(&self.prefix));
        let next = if listing.is_truncated == Some(true) { last.map(str::to_owned) } else { None };
        let objects = contents.into_iter().filter_map(|object| self.listed(object)).collect();
        Ok(ListPage { objects, next })
    }

    pub(super) async fn list_names(&self, prefix: &str, names_max: usize) -> Result<Names, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{}{prefix}", self.prefix));
        let request = request.delimiter("/").max_keys(i32::try_from(names_max).unwrap_or(i32::MAX));
        let listing = request.send().await.map_err(store_error)?;
        let objects = listing.contents.unwrap_or_default().into_iter();
        let folders = listing.common_prefixes.unwrap_or_default().into_iter();
        let name = |path: String| path.strip_suffix('/').and_then(|path| path.rsplit('/').next()).map(str::to_owned);
        Ok(Names {
            objects: objects.filter_map(|object| self.key_of(&self.bucket, object.key()?)).collect(),
            folders: folders.filter_map(|folder| name(folder.prefix?)).collect(),
            is_complete: listing.is_truncated != Some(true),
        })
    }

    /// `None` if the name is not a valid key, for example the name of an empty object that some tools create for a
    /// folder.
    fn listed(&self, object: aws_sdk_s3::types::Object) -> Option<ListedObject> {
        Some(ListedObject {
            key: ObjectKey::new(object.key?.strip_prefix(&self.prefix)?).ok()?,
            bytes: u64::try_from(object.size?).ok()?,
            etag: normalized_etag(&object.e_tag?)?,
            last_modified: SystemTime::try_from(object.last_modified?).ok()?,
        })
    }

    pub(super) fn key_of(&self, bucket: &str, object: &str) -> Option<ObjectKey> {
        let key = object.strip_prefix(&self.prefix).filter(|_| bucket == self.bucket)?;
        ObjectKey::new(key).ok()
    }

    pub(super) fn key(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(super) async fn permit(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let permit = with_timeout(self.operation_timeout, self.requests.acquire()).await;
        permit.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)
    }
}

/// The ETag in the response to a write; empty if there is none.
pub(super) fn stored_etag(etag: Option<String>) -> Box<str> {
    etag.and_then(|etag| normalized_etag(&etag)).unwrap_or_default()
}
