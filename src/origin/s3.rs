//! Objects in a bucket, through the AWS SDK.
//!
//! Needed rights: `s3:GetObject` and, to write, `s3:PutObject` and `s3:DeleteObject` on the objects; `s3:ListBucket` on the bucket, without which S3
//! answers 403 for what does not exist. A 403 is never taken for a miss.
//!
//! The SDK waits for ever by itself; here it has a timeout for each step. Checksums are sent only where S3 requires them, since
//! servers of other makes do not know the newer ones; what comes with one is held against it.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::circuit::{Circuit, Ending};
use super::count::Count;
use super::s3_parts::PARTS_MAX;
use super::{
    Attributes, Body, ByteRange, Delete, Listed, Meta, Object, OpenError, Page, Precondition, Put, StoreError, within,
};
use crate::config;
use crate::metrics;
use crate::variant::ObjectKey;

#[derive(Debug)]
pub(super) struct S3Store {
    pub(super) client: Client,
    pub(super) bucket: String,
    prefix: String,
    /// One permit a part of an upload that is in memory.
    pub(super) parts: Semaphore,
    /// One permit a request, until its answer's header.
    requests: Semaphore,
    circuit: Circuit,
    pub(super) operation_timeout: Duration,
    read_timeout: Duration,
}

/// S3 closes idle connections after some 20 seconds; a request on one that is being closed fails.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// A conditional write that met another one at the same time is answered 409 and is to be tried again.
pub(super) const CONFLICT_PAUSES_MS: [u64; 4] = [50, 100, 200, 400];

impl S3Store {
    pub(super) async fn open(
        bucket: String,
        prefix: String,
        settings: &config::S3,
        counts: &metrics::S3,
    ) -> Result<Self, OpenError> {
        let client = Client::from_conf(client_config(settings, counts).await);
        Ok(Self {
            client,
            bucket,
            prefix,
            parts: Semaphore::new(PARTS_MAX),
            requests: Semaphore::new(settings.concurrency.get()),
            circuit: Circuit::new(
                settings.circuit_failures.get(),
                settings.circuit_pause,
                counts.circuit_openings.clone(),
            ),
            operation_timeout: settings.operation_timeout,
            read_timeout: settings.read_timeout,
        })
    }

    /// Sends a request, unless the circuit is open. The SDK's futures are large: it is given in a box, or those who await it
    /// would be as large each.
    pub(super) async fn guarded<T>(
        &self,
        request: Pin<Box<impl Future<Output = Result<T, StoreError>>>>,
    ) -> Result<T, StoreError> {
        let open = || StoreError::Unavailable { source: "it failed so often that it is not asked for a while".into() };
        let pass = self.circuit.pass().ok_or_else(open)?;
        let answer = request.await;
        match &answer {
            Err(StoreError::Timeout { .. } | StoreError::Unavailable { .. }) => pass.ended(Ending::Failed),
            // The request was not sent.
            Err(StoreError::Busy) => drop(pass),
            Ok(_) | Err(_) => pass.ended(Ending::Answered),
        }
        answer
    }

    pub(super) fn is_gone(&self) -> bool {
        self.circuit.is_open()
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<Meta>, StoreError> {
        let _permit = self.permit().await?;
        match self.client.head_object().bucket(&self.bucket).key(self.key(key)).send().await {
            Ok(head) => {
                let described = Described {
                    bytes: head.content_length,
                    etag: head.e_tag,
                    last_modified: head.last_modified,
                    content_type: head.content_type,
                    metadata: head.metadata,
                };
                described.meta().map(Some)
            }
            Err(error) => absent_or(error),
        }
    }

    pub(super) async fn get(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.get_object().bucket(&self.bucket).key(self.key(key)).set_range(range.map(header));
        match request.send().await {
            Ok(object) => self.object(object).map(Some),
            Err(error) => absent_or(error),
        }
    }

    pub(super) async fn put(
        &self,
        key: &ObjectKey,
        bytes: Bytes,
        attributes: &Attributes,
        precondition: Precondition,
    ) -> Result<Put, StoreError> {
        let _permit = self.permit().await?;
        let mut pauses = CONFLICT_PAUSES_MS.into_iter().map(Duration::from_millis);
        loop {
            match self.put_once(key, bytes.clone(), attributes, &precondition).await {
                Err(error) if status(&error) == Some(409) && precondition != Precondition::None => {
                    let Some(pause) = pauses.next() else { return Err(failed(error)) };
                    tokio::time::sleep(pause + jitter(pause)).await;
                }
                Err(error) => {
                    // What should be replaced has been deleted: 404.
                    let gone = matches!(precondition, Precondition::Matches(_)) && status(&error) == Some(404);
                    let failed_condition = status(&error) == Some(412) || gone;
                    return if failed_condition { Ok(Put::PreconditionFailed) } else { Err(failed(error)) };
                }
                Ok(etag) => return Ok(Put::Stored(etag.unwrap_or_default().into())),
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

    pub(super) async fn delete(&self, key: &ObjectKey, if_match: Option<&str>) -> Result<Delete, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.delete_object().bucket(&self.bucket).key(self.key(key));
        match request.set_if_match(if_match.map(str::to_owned)).send().await {
            Ok(_) => Ok(Delete::Gone),
            Err(error) if if_match.is_some() && status(&error) == Some(412) => Ok(Delete::PreconditionFailed),
            // Some servers say so of what is not there.
            Err(error) => match absent_or::<(), _>(error)? {
                None if if_match.is_some() => Ok(Delete::PreconditionFailed),
                _ => Ok(Delete::Gone),
            },
        }
    }

    pub(super) async fn list(&self, prefix: &str, after: Option<&str>, objects_max: usize) -> Result<Page, StoreError> {
        let _permit = self.permit().await?;
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(format!("{}{prefix}", self.prefix));
        let request = request.set_start_after(after.map(|after| format!("{}{after}", self.prefix)));
        let listing = request.max_keys(i32::try_from(objects_max).unwrap_or(i32::MAX)).send().await.map_err(failed)?;
        let contents = listing.contents.unwrap_or_default();
        let last = contents.last().and_then(|object| object.key()).and_then(|key| key.strip_prefix(&self.prefix));
        let next = if listing.is_truncated == Some(true) { last.map(str::to_owned) } else { None };
        let objects = contents.into_iter().filter_map(|object| self.listed(object)).collect();
        Ok(Page { objects, next })
    }

    /// `None` for what is no key below our prefix, such as the empty objects that some tools keep in place of folders.
    fn listed(&self, object: aws_sdk_s3::types::Object) -> Option<Listed> {
        Some(Listed {
            key: ObjectKey::new(object.key?.strip_prefix(&self.prefix)?).ok()?,
            bytes: u64::try_from(object.size?).ok()?,
            etag: object.e_tag?.into(),
            last_modified: SystemTime::try_from(object.last_modified?).ok()?,
        })
    }

    fn object(&self, object: GetObjectOutput) -> Result<Object, StoreError> {
        let promised = unsigned(object.content_length)?;
        let described = Described {
            // Of a part, Content-Range has the whole length: "bytes 0-63/4711" (RFC 9110 section 14.4).
            bytes: match object.content_range.as_deref().and_then(|range| range.rsplit('/').next()?.parse().ok()) {
                Some(whole) => Some(whole),
                None => object.content_length,
            },
            etag: object.e_tag,
            last_modified: object.last_modified,
            content_type: object.content_type,
            metadata: object.metadata,
        };
        let body = Body::new(chunks(object.body, self.read_timeout), promised);
        Ok(Object { meta: described.meta()?, body })
    }

    pub(super) fn key_of(&self, bucket: &str, object: &str) -> Option<ObjectKey> {
        let key = object.strip_prefix(&self.prefix).filter(|_| bucket == self.bucket)?;
        ObjectKey::new(key).ok()
    }

    pub(super) fn key(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(super) async fn permit(&self) -> Result<SemaphorePermit<'_>, StoreError> {
        let permit = within(self.operation_timeout, self.requests.acquire()).await;
        permit.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)
    }
}

async fn client_config(settings: &config::S3, counts: &metrics::S3) -> aws_sdk_s3::Config {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.read_timeout)
        .operation_attempt_timeout(settings.attempt_timeout)
        .operation_timeout(settings.operation_timeout)
        .build();
    let http = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE)
        .tls_provider(tls::Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let mut shared = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(settings.attempts.get()));
    if settings.anonymous {
        shared = shared.no_credentials();
    }
    if !settings.region.is_empty() {
        shared = shared.region(Region::new(settings.region.clone()));
    }
    if !settings.endpoint.is_empty() {
        shared = shared.endpoint_url(&settings.endpoint);
    }
    let shared = shared.load().await;
    aws_sdk_s3::config::Builder::from(&shared)
        .interceptor(Count(counts.clone()))
        .force_path_style(settings.path_style || is_address(&settings.endpoint))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // Where an answer has a checksum, its bytes are held against it; asking for one does no harm elsewhere.
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        // Bodies have timeouts of our own between reads; the SDK's protection counts a client that reads slowly as a stall.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

/// An IP address has no subdomains to name buckets by.
fn is_address(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.parse::<std::net::SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok()
}

/// A body's chunks, each within `read_timeout`.
fn chunks(body: ByteStream, read_timeout: Duration) -> impl Stream<Item = Result<Bytes, StoreError>> + Send {
    stream::try_unfold(body, move |mut body| async move {
        match within(read_timeout, body.next()).await? {
            Some(Ok(chunk)) => Ok(Some((chunk, body))),
            Some(Err(error)) => Err(StoreError::Unavailable { source: error.into() }),
            None => Ok(None),
        }
    })
}

fn header(range: ByteRange) -> String {
    match range {
        ByteRange::From { first } => format!("bytes={first}-"),
        ByteRange::FromTo { first, last } => format!("bytes={first}-{last}"),
        ByteRange::Suffix { bytes } => format!("bytes=-{bytes}"),
    }
}

/// What HEAD and GET say alike.
struct Described {
    bytes: Option<i64>,
    etag: Option<String>,
    last_modified: Option<DateTime>,
    content_type: Option<String>,
    metadata: Option<std::collections::HashMap<String, String>>,
}

impl Described {
    fn meta(self) -> Result<Meta, StoreError> {
        let missing = |what: &str| StoreError::Other { source: format!("the answer has no {what}").into() };
        let last_modified = self.last_modified.ok_or_else(|| missing("Last-Modified"))?;
        Ok(Meta {
            bytes: unsigned(self.bytes)?,
            etag: self.etag.ok_or_else(|| missing("ETag"))?.into(),
            last_modified: SystemTime::try_from(last_modified).map_err(|_| missing("Last-Modified that is a date"))?,
            content_type: self.content_type.map(Into::into),
            metadata: self.metadata.unwrap_or_default().into_iter().collect(),
        })
    }
}

fn unsigned(length: Option<i64>) -> Result<u64, StoreError> {
    let missing = || StoreError::Other { source: "the answer has no Content-Length".into() };
    length.and_then(|length| u64::try_from(length).ok()).ok_or_else(missing)
}

/// The status of S3's answer, if there was one.
pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

/// `None` for an object that is not there; a bucket that is not there is an error, as is everything else.
fn absent_or<T, E>(error: SdkError<E>) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let code = error.as_service_error().and_then(ProvideErrorMetadata::code);
    if status(&error) == Some(404) && code != Some("NoSuchBucket") {
        return Ok(None);
    }
    Err(failed(error))
}

pub(super) fn failed<E>(error: SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = status(&error);
    let whole_length = error.raw_response().and_then(|response| response.headers().get("content-range"));
    let whole_length = whole_length.and_then(|range| range.strip_prefix("bytes */")?.parse().ok());
    let is_timeout = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    let is_connection = matches!(error, SdkError::DispatchFailure(_) | SdkError::ResponseError(_));
    let source = DisplayErrorContext(&error).to_string().into();
    match status {
        _ if is_timeout => StoreError::Timeout { source },
        _ if is_connection => StoreError::Unavailable { source },
        Some(401 | 403) if is_skewed(&error) => StoreError::Skewed { source },
        Some(401 | 403) => StoreError::Forbidden { source },
        Some(416) => StoreError::RangeNotSatisfiable { bytes: whole_length.unwrap_or_default() },
        Some(429 | 500..) => StoreError::Unavailable { source },
        Some(_) | None => StoreError::Other { source },
    }
}

/// Whether a refusal is for the time of the request: by its code, or where an answer has no body, by the server's clock.
fn is_skewed<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    if error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("RequestTimeTooSkewed") {
        return true;
    }
    let date = error.raw_response().and_then(|response| response.headers().get("date"));
    let Some(theirs) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return false };
    let ours = SystemTime::now();
    let apart = ours.duration_since(theirs).or_else(|_| theirs.duration_since(ours)).unwrap_or_default();
    apart > SKEW_MAX
}

/// What S3 puts up with (Amazon S3 API Reference, "Error responses", RequestTimeTooSkewed).
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// Up to as long again, by the clock's last digits: enough to part two nodes that met once.
pub(super) fn jitter(pause: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    pause.mul_f64(f64::from(nanos % 1000) / 1000.0)
}
