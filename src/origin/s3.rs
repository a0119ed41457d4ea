//! Objects in an S3 bucket.
//!
//! Permissions: `s3:GetObject` and, for writing, `s3:PutObject` and `s3:DeleteObject` on the objects; `s3:ListBucket` on the
//! bucket, without which S3 answers 403 for missing objects. A 403 is never treated as a missing object.

use bytes::Bytes;
use http::header::{IF_MATCH, RANGE};
use http::{HeaderName, Method, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::Object;
use super::error::StoreError;
use super::object::{Attributes, ByteRange, DeleteOutcome, ListPage, ObjectMeta, Precondition, PutOutcome};
use super::spool::Spool;
use super::timeout::with_timeout;
use crate::config;
use crate::observability::metrics::{self, Counter};
use crate::support::circuit_breaker::{CircuitBreaker, Transition};
use crate::support::https::Incoming;
use crate::variant::ObjectKey;

mod checksum;
mod client;
mod conflict;
mod error;
mod list;
mod multipart;
mod object;
pub(super) mod presign;
mod request;
mod xml;

use client::S3Client;
use conflict::retry_conflicts;
use error::S3Error;
use multipart::{MultipartUpload, PART_BYTES_MIN, PARTS_IN_MEMORY_MAX};
use request::S3Request;

#[derive(Debug)]
pub(super) struct S3Store {
    /// Or the reason why no request can be sent.
    client: Result<S3Client, String>,
    bucket: String,
    /// Empty or with a slash at its end.
    prefix: String,
    /// Permits for parts of uploads in memory.
    parts: Semaphore,
    /// Permits for requests, held until the header of the response.
    requests: Semaphore,
    circuit_breaker: CircuitBreaker,
    circuit_openings: Counter,
    operation_timeout: std::time::Duration,
}

const CHECKSUM_MODE: HeaderName = HeaderName::from_static("x-amz-checksum-mode");

impl S3Store {
    pub(super) async fn open(bucket: &str, prefix: &str, settings: &config::S3, metrics: &metrics::S3Metrics) -> Self {
        Self {
            client: S3Client::open(bucket, settings, metrics.clone()).await,
            bucket: bucket.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            parts: Semaphore::new(PARTS_IN_MEMORY_MAX),
            requests: Semaphore::new(settings.concurrency.get()),
            circuit_breaker: CircuitBreaker::new(
                settings.circuit_breaker_failures.get(),
                settings.circuit_breaker_pause,
            ),
            circuit_openings: metrics.circuit_openings.clone(),
            operation_timeout: settings.operation_timeout,
        }
    }

    /// Runs an operation unless the circuit breaker is open, and records its result.
    pub(super) async fn guarded<T>(
        &self,
        operation: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let open = || StoreError::Unavailable { source: "the circuit breaker is open".into() };
        let permit = self.circuit_breaker.try_acquire().ok_or_else(open)?;
        let result = operation.await;
        let transition = match &result {
            Err(StoreError::Timeout { .. } | StoreError::Unavailable { .. }) => permit.record_failure(),
            // No request was sent.
            Err(StoreError::Busy) => None,
            Ok(_) | Err(_) => permit.record_success(),
        };
        match transition {
            Some(Transition::Opened) => {
                self.circuit_openings.inc();
                tracing::error!(bucket = self.bucket, "circuit breaker opened");
            }
            Some(Transition::Closed) => tracing::info!(bucket = self.bucket, "circuit breaker closed"),
            None => {}
        }
        result
    }

    pub(super) fn is_circuit_open(&self) -> bool {
        self.circuit_breaker.is_open()
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let request = S3Request::new(Method::HEAD, self.client()?.object_url(&self.object(key)));
        self.read(&request).await?.map(|response| object::meta(response.headers())).transpose()
    }

    pub(super) async fn get(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        let client = self.client()?;
        // S3 sends checksums only on request.
        let request = S3Request::new(Method::GET, client.object_url(&self.object(key)));
        let mut request = request.with_header(CHECKSUM_MODE, "ENABLED")?;
        if let Some(range) = range {
            request = request.with_header(RANGE, &range_header(range))?;
        }
        let response = self.read(&request).await?;
        response.map(|response| object::object(response, range, client.attempt_timeout())).transpose()
    }

    /// The response to a request for an object; `None` if there is no such object.
    async fn read(&self, request: &S3Request) -> Result<Option<Response<Incoming>>, StoreError> {
        let client = self.client()?;
        let _permit = self.request_permit().await?;
        match client.send(request).await {
            Ok(response) => Ok(Some(response)),
            Err(error) => error.or_not_found().map(|()| None),
        }
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
        // Ceph compares the header with its ETag without quotes. Other servers may reject such a header.
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
        let client = self.client()?;
        let request = S3Request::new(Method::PUT, client.object_url(&self.object(key))).with_body(bytes);
        let request = request.with_attributes(attributes)?.with_precondition(precondition)?;
        let _permit = self.request_permit().await?;
        match retry_conflicts(precondition, || client.send(&request)).await {
            Ok(response) => Ok(PutOutcome::Stored(multipart::etag(response.headers()).into())),
            Err(S3Error::Response(error)) if error.status == 412 => Ok(PutOutcome::PreconditionFailed),
            Err(error) if matches!(precondition, Precondition::Matches(_)) => {
                // The object that should be replaced was deleted.
                error.or_not_found().map(|()| PutOutcome::PreconditionFailed)
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn put_spooled(
        &self,
        key: &ObjectKey,
        spool: &Spool,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<PutOutcome, StoreError> {
        let (bytes, file) = (spool.bytes(), spool.reader()?);
        if bytes <= PART_BYTES_MIN {
            let _memory = self.parts.acquire().await.map_err(|_| StoreError::Busy)?;
            let whole = multipart::read(file, 0, bytes).await?;
            return self.put(key, whole, attributes, precondition).await;
        }
        let client = self.client()?;
        let url = client.object_url(&self.object(key));
        let upload = MultipartUpload { client, url, parts: &self.parts, requests: &self.requests };
        upload.write(file, bytes, attributes, &precondition).await
    }

    pub(super) async fn delete(&self, key: &ObjectKey, if_match: Option<&str>) -> Result<DeleteOutcome, StoreError> {
        let client = self.client()?;
        let mut request = S3Request::new(Method::DELETE, client.object_url(&self.object(key)));
        if let Some(etag) = if_match {
            request = request.with_header(IF_MATCH, etag)?;
        }
        let _permit = self.request_permit().await?;
        match client.send(&request).await {
            Ok(_) => Ok(DeleteOutcome::Deleted),
            Err(S3Error::Response(error)) if if_match.is_some() && error.status == 412 => {
                Ok(DeleteOutcome::PreconditionFailed)
            }
            // Some servers answer 404 for a missing object.
            Err(error) => error.or_not_found().map(|()| match if_match {
                Some(_) => DeleteOutcome::PreconditionFailed,
                None => DeleteOutcome::Deleted,
            }),
        }
    }

    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        objects_max: usize,
    ) -> Result<ListPage, StoreError> {
        let client = self.client()?;
        let mut request = S3Request::new(Method::GET, client.bucket_url().to_owned())
            .with_query("list-type", "2")
            .with_query("prefix", &format!("{}{prefix}", self.prefix))
            .with_query("max-keys", &objects_max.to_string());
        if let Some(after) = after {
            request = request.with_query("start-after", &format!("{}{after}", self.prefix));
        }
        let _permit = self.request_permit().await?;
        list::parse_page(&client.send_for_document(&request).await?, &self.prefix)
    }

    pub(super) fn key_of(&self, bucket: &str, object: &str) -> Option<ObjectKey> {
        let key = object.strip_prefix(&self.prefix).filter(|_| bucket == self.bucket)?;
        ObjectKey::new(key).ok()
    }

    /// The name of an object in the bucket.
    fn object(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    fn client(&self) -> Result<&S3Client, StoreError> {
        self.client.as_ref().map_err(|reason| StoreError::Unavailable { source: reason.clone().into() })
    }

    async fn request_permit(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let permit = with_timeout(self.operation_timeout, self.requests.acquire()).await;
        permit.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)
    }
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::From { first } => format!("bytes={first}-"),
        ByteRange::FromTo { first, last } => format!("bytes={first}-{last}"),
        ByteRange::Suffix { bytes } => format!("bytes=-{bytes}"),
    }
}
