//! An S3 server in this process. It speaks the real protocol over a socket, keeps objects in memory, counts requests,
//! and injects the faults that a test selects. Conditional writes are atomic.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use crate::support::stage::PATIENCE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CommonPrefix, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput,
    DeleteObjectOutput, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput,
    ListObjectsV2Input, ListObjectsV2Output, Object, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
    UploadPartInput, UploadPartOutput,
};
use s3s::service::S3ServiceBuilder;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use tokio::sync::{Notify, watch};

const NAME: &str = "pictures";
/// Signatures with these credentials are verified. Anonymous requests have the same permissions.
pub const ACCESS_KEY: &str = "test-access-key";
pub const SECRET_KEY: &str = "test-secret-key";

/// Header of a response that is not sent.
const LOST: &str = "x-lost";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    Get,
    Head,
    Put,
    Delete,
    /// Completes a multipart upload. Its parts are puts.
    Complete,
    /// Lists objects. Counts and faults use the prefix of the listing as its key.
    List,
}

/// A fault that replaces the response to a request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// An error response with this status.
    Status(u16),
    /// The correct header and half of the body, then a connection reset.
    Truncate,
    /// A body with one wrong byte, which the checksum in the header reveals.
    Corrupt,
    /// A 200 with the HTML page of a gateway instead of the object.
    Page,
    /// A 403 because the clocks of client and server differ by an hour.
    ClockSkew,
}

#[derive(Debug, Clone)]
pub struct Stored {
    pub bytes: Bytes,
    pub content_type: String,
    pub cache_control: Option<String>,
    pub metadata: HashMap<String, String>,
    etag: String,
    last_modified: SystemTime,
}

/// A handle to the server; clones refer to the same one. The server runs until its runtime ends.
#[derive(Clone)]
pub struct Bucket {
    state: Arc<State>,
    address: SocketAddr,
}

/// The request that started a multipart upload, and its parts by number.
type Unfinished = (CreateMultipartUploadInput, BTreeMap<i32, Bytes>);

#[derive(Default)]
struct State {
    /// Multipart uploads that are neither completed nor aborted.
    parts: Mutex<HashMap<String, Unfinished>>,
    objects: Mutex<BTreeMap<String, Stored>>,
    requests: Mutex<Vec<(Operation, String)>>,
    stored: Mutex<HashMap<String, usize>>,
    /// Each fault with the number of requests that it still applies to.
    faults: Mutex<Vec<(Operation, String, Fault, usize)>>,
    ignores_conditions: AtomicBool,
    /// Writes that will be stored without a response.
    lost: Mutex<Vec<(Operation, String)>>,
    /// Seconds by which the clock of the server is ahead.
    clock_ahead: AtomicI64,
    /// Valid access keys and their secrets. If empty, the usual credentials and unsigned requests are valid.
    credentials: Mutex<HashMap<String, String>>,
    stalls: Mutex<Vec<(Operation, String, watch::Receiver<bool>)>>,
    /// Notified of each request and of each stored object.
    changed: Notify,
}

/// Stalls requests until it is released or dropped.
pub struct Gate(watch::Sender<bool>);

impl Gate {
    pub fn release(&self) {
        self.0.send_replace(true);
    }
}

impl Bucket {
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut service = S3ServiceBuilder::new(Server(state.clone()));
        service.set_auth(Keys(state.clone()));
        service.set_access(Keys(state.clone()));
        let service = service.build();
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, state) = (service.clone(), shared.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (service, state) = (service.clone(), state.clone());
                    async move {
                        let response = Service::call(&service, request).await;
                        let mut response = response.map_err(|error| std::io::Error::other(format!("{error:?}")))?;
                        if response.headers().contains_key(LOST) {
                            return Err(std::io::ErrorKind::ConnectionReset.into());
                        }
                        response.headers_mut().entry(http::header::DATE).or_insert_with(|| state.date());
                        Ok::<_, std::io::Error>(response)
                    }
                });
                tokio::spawn(async move {
                    // Connections that a test breaks end with an error.
                    let _ =
                        auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { state, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn name(&self) -> &'static str {
        NAME
    }

    /// Stores an object without a request, so it is not counted and no fault applies.
    pub fn put_object(&self, key: &str, bytes: Vec<u8>, content_type: &str) {
        self.put_object_with(key, bytes, content_type, &[]);
    }

    /// Like [`Self::put_object`], with metadata.
    pub fn put_object_with(&self, key: &str, bytes: Vec<u8>, content_type: &str, metadata: &[(&str, &str)]) {
        let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let stored = Stored::new(bytes.into(), Some(content_type.to_owned()), None, metadata);
        self.state.objects.lock().unwrap().insert(key.to_owned(), stored);
    }

    /// Removes an object without a request.
    pub fn remove_object(&self, key: &str) {
        self.state.objects.lock().unwrap().remove(key);
    }

    /// Corrupts the last byte of a stored object.
    pub fn rot(&self, key: &str) {
        let mut objects = self.state.objects.lock().unwrap();
        let stored = objects.get_mut(key).unwrap();
        let mut bytes = stored.bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        stored.bytes = bytes.into();
    }

    pub fn object(&self, key: &str) -> Option<Stored> {
        self.state.objects.lock().unwrap().get(key).cloned()
    }

    /// Number of multipart uploads that are neither completed nor aborted.
    pub fn unfinished(&self) -> usize {
        self.state.parts.lock().unwrap().len()
    }

    /// The keys of all objects with this prefix.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        self.state.objects.lock().unwrap().keys().filter(|key| key.starts_with(prefix)).cloned().collect()
    }

    /// Number of requests so far for keys with this prefix, including failed ones.
    pub fn count(&self, operation: Operation, prefix: &str) -> usize {
        let requests = self.state.requests.lock().unwrap();
        requests.iter().filter(|(asked, key)| *asked == operation && key.starts_with(prefix)).count()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<(Operation, String)> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Number of times an object was stored under `key`.
    pub fn stored(&self, key: &str) -> usize {
        self.state.stored.lock().unwrap().get(key).copied().unwrap_or_default()
    }

    /// Waits until `condition` is true. It is checked only after requests and writes, so the wait takes no CPU time from resize
    /// threads.
    pub async fn until(&self, description: &'static str, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.state.changed.notified();
            if condition(self) {
                return;
            }
            tokio::time::timeout(PATIENCE, changed).await.expect(description);
        }
    }

    /// Injects a fault into matching requests until [`Bucket::heal`].
    pub fn fail(&self, operation: Operation, prefix: &str, fault: Fault) {
        self.fail_times(usize::MAX, operation, prefix, fault);
    }

    /// Injects a fault into the next `times` matching requests.
    pub fn fail_times(&self, times: usize, operation: Operation, prefix: &str, fault: Fault) {
        self.state.faults.lock().unwrap().push((operation, prefix.to_owned(), fault, times));
    }

    /// Ignores the conditions of writes from now on, as some servers do.
    pub fn ignore_conditions(&self) {
        self.state.ignores_conditions.store(true, Ordering::Relaxed);
    }

    /// Stores the next matching write, and closes its connection without a response.
    pub fn lose_response(&self, operation: Operation, prefix: &str) {
        self.state.lost.lock().unwrap().push((operation, prefix.to_owned()));
    }

    /// Sets the clock of the server, relative to the clock of this machine.
    pub fn set_clock(&self, seconds_ahead: i64) {
        self.state.clock_ahead.store(seconds_ahead, Ordering::Relaxed);
    }

    /// The time in milliseconds since 1970 by the clock of the server.
    pub fn time_ms(&self) -> u64 {
        u64::try_from(self.state.time().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis()).unwrap()
    }

    /// From now on, accepts only requests that are signed with this access key and secret.
    pub fn accept_only(&self, access_key: &str, secret: &str) {
        *self.state.credentials.lock().unwrap() = [(access_key.to_owned(), secret.to_owned())].into();
    }

    pub fn heal(&self) {
        self.state.faults.lock().unwrap().clear();
    }

    /// Stalls matching requests from now on, after counting them.
    pub fn stall(&self, operation: Operation, prefix: &str) -> Gate {
        let (gate, waits) = watch::channel(false);
        self.state.stalls.lock().unwrap().push((operation, prefix.to_owned(), waits));
        Gate(gate)
    }
}

impl Stored {
    fn new(
        bytes: Bytes,
        content_type: Option<String>,
        cache_control: Option<String>,
        metadata: HashMap<String, String>,
    ) -> Self {
        let hash = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let etag = hash.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let content_type = content_type.unwrap_or_default();
        Self { bytes, content_type, cache_control, metadata, etag, last_modified: SystemTime::now() }
    }
}

impl Stored {
    fn listed(&self, key: &str) -> Object {
        Object {
            key: Some(key.to_owned()),
            size: Some(i64::try_from(self.bytes.len()).unwrap()),
            e_tag: Some(ETag::Strong(self.etag.clone())),
            last_modified: Some(Timestamp::from(self.last_modified)),
            ..Default::default()
        }
    }
}

impl State {
    /// Counts a request, stalls it while a matching gate is closed, and returns the fault to inject.
    async fn enter(&self, operation: Operation, bucket: &str, key: &str) -> S3Result<Option<Fault>> {
        if bucket != NAME {
            return Err(s3_error!(NoSuchBucket));
        }
        self.requests.lock().unwrap().push((operation, key.to_owned()));
        self.changed.notify_waiters();
        let applies = |asked: Operation, prefix: &str| asked == operation && key.starts_with(prefix);
        let stalls: Vec<_> = {
            let stalls = self.stalls.lock().unwrap();
            stalls.iter().filter(|(asked, prefix, _)| applies(*asked, prefix)).map(|(.., gate)| gate.clone()).collect()
        };
        for mut gate in stalls {
            // An error means that the gate was dropped.
            let _ = gate.wait_for(|open| *open).await;
        }
        let fault = {
            let mut faults = self.faults.lock().unwrap();
            let fault = faults.iter_mut().find(|(asked, prefix, _, left)| *left > 0 && applies(*asked, prefix));
            fault.map(|(.., fault, left)| {
                *left -= 1;
                *fault
            })
        };
        match fault {
            Some(Fault::Status(status)) => Err(failure(status)),
            Some(Fault::ClockSkew) => Err(clock_skew()),
            other => Ok(other),
        }
    }

    fn time(&self) -> SystemTime {
        let ahead = self.clock_ahead.load(Ordering::Relaxed);
        let difference = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { SystemTime::now() - difference } else { SystemTime::now() + difference }
    }

    fn date(&self) -> http::HeaderValue {
        httpdate::fmt_http_date(self.time()).parse().unwrap()
    }

    /// The response to a write, marked if it is to be lost.
    fn respond<T>(&self, operation: Operation, key: &str, output: T) -> S3Response<T> {
        self.changed.notify_waiters();
        let mut response = S3Response::new(output);
        let mut lost = self.lost.lock().unwrap();
        let matching = lost.iter().position(|(asked, prefix)| *asked == operation && key.starts_with(prefix));
        if let Some(at) = matching {
            lost.remove(at);
            response.headers.insert(LOST, http::HeaderValue::from_static("1"));
        }
        response
    }

    fn find(&self, key: &str) -> S3Result<Stored> {
        self.objects.lock().unwrap().get(key).cloned().ok_or_else(|| s3_error!(NoSuchKey))
    }
}

fn failure(status: u16) -> S3Error {
    let code = match status {
        403 => S3ErrorCode::AccessDenied,
        409 => S3ErrorCode::OperationAborted,
        503 => S3ErrorCode::SlowDown,
        _ => S3ErrorCode::InternalError,
    };
    let mut error = S3Error::new(code);
    error.set_status_code(status.try_into().unwrap());
    error
}

/// Checks the conditions of a write.
fn check_conditions(
    existing: Option<&Stored>,
    if_match: Option<&ETagCondition>,
    is_absent_required: bool,
) -> S3Result<()> {
    if is_absent_required && existing.is_some() {
        return Err(s3_error!(PreconditionFailed));
    }
    match (if_match, existing) {
        (Some(_), None) => Err(s3_error!(NoSuchKey)),
        (Some(ETagCondition::ETag(wanted)), Some(existing)) if wanted.value() != existing.etag => {
            Err(s3_error!(PreconditionFailed))
        }
        _ => Ok(()),
    }
}

/// Verifies credentials.
struct Keys(Arc<State>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let credentials = self.0.credentials.lock().unwrap();
        match credentials.get(access_key) {
            Some(secret) => Ok(secret.as_str().into()),
            None if credentials.is_empty() && access_key == ACCESS_KEY => Ok(SECRET_KEY.into()),
            None => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

#[async_trait::async_trait]
impl S3Access for Keys {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let is_open = self.0.credentials.lock().unwrap().is_empty();
        if is_open || context.credentials().is_some() { Ok(()) } else { Err(s3_error!(AccessDenied)) }
    }
}

fn clock_skew() -> S3Error {
    let hour = std::time::Duration::from_secs(3600);
    let mut error = s3_error!(RequestTimeTooSkewed);
    let date = httpdate::fmt_http_date(SystemTime::now() - hour).parse().unwrap();
    error.set_headers([(http::header::DATE, date)].into_iter().collect());
    error.set_status_code(http::StatusCode::FORBIDDEN);
    error
}

struct Server(Arc<State>);

#[async_trait::async_trait]
impl S3 for Server {
    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let GetObjectInput { bucket, key, range, checksum_mode, if_match, .. } = request.input;
        let fault = self.0.enter(Operation::Get, &bucket, &key).await?;
        let stored = self.0.find(&key)?;
        if let Some(ETagCondition::ETag(wanted)) = if_match
            && wanted.value() != stored.etag
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let whole = stored.bytes.len() as u64;
        let mut bytes = stored.bytes;
        let mut content_range = None;
        if let Some(range) = range {
            let Ok(part) = range.check(whole) else {
                let mut error = s3_error!(InvalidRange);
                error.set_headers(
                    [("content-range".parse().unwrap(), format!("bytes */{whole}").parse().unwrap())]
                        .into_iter()
                        .collect(),
                );
                return Err(error);
            };
            content_range = Some(format!("bytes {}-{}/{whole}", part.start, part.end - 1));
            bytes = bytes.slice(usize::try_from(part.start).unwrap()..usize::try_from(part.end).unwrap());
        }
        let checksum = ring::digest::digest(&ring::digest::SHA256, &bytes);
        // S3 sends checksums only on request.
        let is_wanted = content_range.is_none() && checksum_mode.is_some();
        let checksum_sha256 = is_wanted.then(|| STANDARD.encode(checksum));
        let mut content_type = stored.content_type;
        match fault {
            Some(Fault::Corrupt) => bytes = [&bytes[..bytes.len() - 1], &[!bytes[bytes.len() - 1]]].concat().into(),
            Some(Fault::Page) => {
                bytes = Bytes::from_static(b"<html><body>Sign in to this network</body></html>");
                content_type = "text/html".into();
            }
            _ => {}
        }
        let promised = i64::try_from(bytes.len()).unwrap();
        let body = match fault {
            Some(Fault::Truncate) => {
                let half = bytes.slice(..bytes.len() / 2);
                let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                StreamingBlob::wrap(stream::iter([Ok(half), Err(reset)]))
            }
            _ => StreamingBlob::wrap(stream::iter([Ok::<_, std::io::Error>(bytes)])),
        };
        Ok(S3Response::new(GetObjectOutput {
            body: Some(body),
            content_length: Some(promised),
            content_range,
            checksum_sha256: checksum_sha256.filter(|_| !matches!(fault, Some(Fault::Page))),
            content_type: Some(content_type),
            cache_control: stored.cache_control,
            e_tag: Some(ETag::Strong(stored.etag)),
            last_modified: Some(Timestamp::from(stored.last_modified)),
            metadata: Some(stored.metadata),
            ..Default::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let HeadObjectInput { bucket, key, .. } = request.input;
        self.0.enter(Operation::Head, &bucket, &key).await?;
        let stored = self.0.find(&key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(i64::try_from(stored.bytes.len()).unwrap()),
            content_type: Some(stored.content_type),
            cache_control: stored.cache_control,
            e_tag: Some(ETag::Strong(stored.etag)),
            last_modified: Some(Timestamp::from(stored.last_modified)),
            metadata: Some(stored.metadata),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut parts = self.0.parts.lock().unwrap();
        let id = format!("upload-{}-{}", request.input.key, parts.len());
        parts.insert(id.clone(), (request.input, BTreeMap::new()));
        Ok(S3Response::new(CreateMultipartUploadOutput { upload_id: Some(id), ..Default::default() }))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let mut bytes = Vec::new();
        let mut body = input.body.unwrap();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?);
        }
        self.0.enter(Operation::Put, &input.bucket, &input.key).await?;
        let mut parts = self.0.parts.lock().unwrap();
        let (_, upload) = parts.get_mut(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        upload.insert(input.part_number, bytes.into());
        let etag = Some(ETag::Strong(format!("part-{}", input.part_number)));
        Ok(S3Response::new(UploadPartOutput { e_tag: etag, ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        self.0.enter(Operation::Complete, &input.bucket, &input.key).await?;
        let mut objects = self.0.objects.lock().unwrap();
        check_conditions(objects.get(&input.key), input.if_match.as_ref(), input.if_none_match.is_some())?;
        let mut parts = self.0.parts.lock().unwrap();
        let (begun, upload) = parts.remove(&input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let bytes: Vec<u8> = upload.into_values().flatten().collect();
        let new =
            Stored::new(bytes.into(), begun.content_type, begun.cache_control, begun.metadata.unwrap_or_default());
        let etag = Some(ETag::Strong(new.etag.clone()));
        *self.0.stored.lock().unwrap().entry(input.key.clone()).or_default() += 1;
        objects.insert(input.key.clone(), new);
        let output = CompleteMultipartUploadOutput { e_tag: etag, ..Default::default() };
        Ok(self.0.respond(Operation::Complete, &input.key, output))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.0.parts.lock().unwrap().remove(&request.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let mut input = request.input;
        if self.0.ignores_conditions.load(Ordering::Relaxed) {
            (input.if_match, input.if_none_match) = (None, None);
        }
        let mut bytes = Vec::new();
        let mut body = input.body.unwrap();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?);
        }
        self.0.enter(Operation::Put, &input.bucket, &input.key).await?;
        let metadata = input.metadata.unwrap_or_default();
        let new = Stored::new(bytes.into(), input.content_type, input.cache_control, metadata);
        let etag = new.etag.clone();
        let mut objects = self.0.objects.lock().unwrap();
        check_conditions(objects.get(&input.key), input.if_match.as_ref(), input.if_none_match.is_some())?;
        *self.0.stored.lock().unwrap().entry(input.key.clone()).or_default() += 1;
        objects.insert(input.key.clone(), new);
        let output = PutObjectOutput { e_tag: Some(ETag::Strong(etag)), ..Default::default() };
        Ok(self.0.respond(Operation::Put, &input.key, output))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        let DeleteObjectInput { bucket, key, if_match, .. } = request.input;
        self.0.enter(Operation::Delete, &bucket, &key).await?;
        let mut objects = self.0.objects.lock().unwrap();
        let there = objects.get(&key).map(|stored| stored.etag.as_str());
        if let Some(ETagCondition::ETag(wanted)) = if_match
            && there != Some(wanted.value())
        {
            return Err(s3_error!(PreconditionFailed));
        }
        objects.remove(&key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let ListObjectsV2Input { bucket, prefix, start_after, max_keys, delimiter, .. } = request.input;
        let (prefix, after) = (prefix.unwrap_or_default(), start_after.unwrap_or_default());
        self.0.enter(Operation::List, &bucket, &prefix).await?;
        let objects = self.0.objects.lock().unwrap();
        let mut wanted = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let keys_max = usize::try_from(max_keys.unwrap_or(1000)).unwrap().min(1000);
        let (mut contents, mut folders) = (Vec::new(), BTreeSet::new());
        while contents.len() + folders.len() < keys_max
            && let Some((key, stored)) = wanted.next()
        {
            let rest = &key[prefix.len()..];
            match delimiter.as_ref().and_then(|delimiter| rest.split_once(delimiter)) {
                Some((folder, _)) => drop(folders.insert(format!("{prefix}{folder}/"))),
                None => contents.push(stored.listed(key)),
            }
        }
        let common_prefixes = folders.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) }).collect();
        Ok(S3Response::new(ListObjectsV2Output {
            is_truncated: Some(wanted.next().is_some()),
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            ..Default::default()
        }))
    }
}
