//! Sends GET and HEAD requests without the SDK.
//!
//! Most requests to S3 are reads, and sending one with the SDK takes several times as long as signing it
//! (docs/decisions/s3-reads.md). Timeouts, retries, clock correction and instrumentation work as in the SDK.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use bytes::Bytes;
use http::header::{IF_MATCH, RANGE, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};

use super::body::S3Body;
use super::client::POOL_IDLE;
use super::credentials::{CredentialCache, access_key};
use super::endpoint::S3Endpoint;
use super::error::S3ErrorResponse;
use super::instrument::S3Instrumentation;
use super::object::{self, object_bytes};
use super::retry::RetryPolicy;
use super::sign::Signer;
use crate::config;
use crate::origin::body::{Body, Object};
use crate::origin::error::StoreError;
use crate::origin::object::{ByteRange, ObjectMeta};
use crate::origin::public_url::encode_path;
use crate::origin::timeout::with_timeout;
use crate::support::error_chain::chain;
use crate::support::https::{self, AGENT, Incoming, Protocols};
use crate::variant::ObjectKey;

/// Reads the objects below a prefix of a bucket.
#[derive(Debug)]
pub(super) struct S3Reader {
    http: https::Client,
    /// URL of the bucket and prefix, to which keys are appended.
    base_url: String,
    signer: Signer,
    credentials: CredentialCache,
    pub(super) retry_policy: RetryPolicy,
    instrumentation: S3Instrumentation,
    /// Limit from the start of an attempt to the headers of its response, and between two reads of the body.
    pub(super) attempt_timeout: Duration,
    /// Limit for all attempts together.
    pub(super) operation_timeout: Duration,
}

/// A request for an object or a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadRequest<'a> {
    pub(super) method: &'a Method,
    pub(super) key: &'a ObjectKey,
    pub(super) range: Option<ByteRange>,
    /// The ETag that the object must have.
    pub(super) if_match: Option<&'a str>,
}

/// The first byte. The response has the length of the whole object.
const FIRST_BYTE: ByteRange = ByteRange::FromTo { first: 0, last: 0 };

/// A failed attempt.
struct AttemptError {
    error: StoreError,
    /// True if the next attempt may succeed.
    is_transient: bool,
    retry_after: Option<Duration>,
    /// True if the store rejected the credentials and others can be loaded.
    is_other_identity: bool,
}

impl S3Reader {
    /// A reader for the bucket that `client` writes to.
    ///
    /// # Errors
    /// The reason why no request can be sent.
    pub(super) async fn new(
        client: &Client,
        bucket: &str,
        prefix: &str,
        settings: &config::S3,
        instrumentation: S3Instrumentation,
        cache: CredentialCache,
    ) -> Result<Self, String> {
        let S3Endpoint { url, region, service, credentials } = S3Endpoint::resolve(client, bucket).await?;
        // Such a URL would show its password in logs and traces.
        if https::has_user_info(&url) {
            return Err("the URL of the S3 endpoint contains a user name or a password".to_owned());
        }
        let credentials = credentials.filter(|_| !settings.anonymous);
        let protocols = if url.starts_with("http://") { Protocols::Plain } else { Protocols::Http1 };
        let http = https::Client::with_options(settings.connect_timeout, POOL_IDLE, protocols);
        Ok(Self {
            http: http.map_err(|error| format!("the system's root certificates cannot be read: {error}"))?,
            base_url: format!("{url}/{}", encode_path(prefix)),
            signer: Signer::new(region, service, credentials),
            credentials: cache,
            retry_policy: RetryPolicy::new(settings.attempts.get()),
            instrumentation,
            attempt_timeout: settings.attempt_timeout(),
            operation_timeout: settings.operation_timeout,
        })
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let Some(response) = self.send_with_retries(ReadRequest::new(&Method::HEAD, key)).await? else {
            return Ok(None);
        };
        match object_bytes(response.headers()) {
            Some(bytes) => object::meta(response.headers(), bytes).map(Some),
            None => self.measure(key).await,
        }
    }

    pub(super) async fn get(
        self: &Arc<Self>,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<Object>, StoreError> {
        let request = ReadRequest { range, ..ReadRequest::new(&Method::GET, key) };
        let response = match self.send_with_retries(request).await {
            Err(StoreError::RangeNotSatisfiable { .. }) if range.is_none() => return self.empty_object(key).await,
            response => response?,
        };
        let Some(response) = response else { return Ok(None) };
        let bytes = match object_bytes(response.headers()) {
            Some(bytes) => bytes,
            None => match self.measure(key).await? {
                Some(measured) => measured.bytes,
                None => return Ok(None),
            },
        };
        let meta = object::meta(response.headers(), bytes)?;
        let body = S3Body::new(self.clone(), key, &meta, response, range)?.into_body();
        Ok(Some(Object { meta, body }))
    }

    /// An object whose GET was answered like the request for a range outside of it, as some servers do if it is empty.
    async fn empty_object(&self, key: &ObjectKey) -> Result<Option<Object>, StoreError> {
        match self.head(key).await? {
            Some(meta) if meta.bytes == 0 => Ok(Some(Object { meta, body: Body::empty() })),
            Some(_) => Err(object::invalid("the status 416, but no range was requested")),
            None => Ok(None),
        }
    }

    /// The metadata of an object if the responses to other requests do not have its length.
    async fn measure(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let request = ReadRequest { range: Some(FIRST_BYTE), ..ReadRequest::new(&Method::GET, key) };
        let (head, mut body) = match self.send_with_retries(request).await {
            Err(StoreError::RangeNotSatisfiable { .. }) => {
                let whole = self.send_with_retries(ReadRequest::new(&Method::GET, key)).await?;
                return whole.map(|response| object::meta(response.headers(), 0)).transpose();
            }
            response => match response? {
                Some(response) => response.into_parts(),
                None => return Ok(None),
            },
        };
        if let Some(bytes) = object_bytes(&head.headers) {
            return object::meta(&head.headers, bytes).map(Some);
        }
        // The server ignores ranges too, so the bytes are counted.
        let count = async {
            let mut bytes = 0;
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| StoreError::Unavailable { source: error.into() })?;
                bytes += frame.data_ref().map_or(0, |chunk| chunk.len() as u64);
            }
            Ok(bytes)
        };
        let bytes = with_timeout(self.operation_timeout, count).await??;
        object::meta(&head.headers, bytes).map(Some)
    }

    /// Sends the request until it succeeds or the retries end. `None` if the object does not exist. The body of the
    /// response has not been read yet.
    pub(super) async fn send_with_retries(
        &self,
        request: ReadRequest<'_>,
    ) -> Result<Option<Response<Incoming>>, StoreError> {
        let url = self.url(request.key);
        let attempts = async {
            let (mut failures, mut has_new_credentials) = (0, false);
            loop {
                let failure = match self.attempt(request, &url).await {
                    Ok(response) => {
                        self.retry_policy.record_success(failures);
                        return Ok(response);
                    }
                    Err(failure) => failure,
                };
                let AttemptError { error, is_transient, retry_after, is_other_identity } = failure;
                if is_other_identity && !has_new_credentials {
                    has_new_credentials = true;
                    continue;
                }
                failures += 1;
                let pause = if is_transient { self.retry_policy.pause(failures, retry_after) } else { None };
                let Some(pause) = pause else { return Err(error) };
                tracing::debug!(key = %request.key, %error, ?pause, "retrying a read of S3");
                tokio::time::sleep(pause).await;
            }
        };
        with_timeout(self.operation_timeout, attempts).await?
    }

    async fn attempt(&self, read: ReadRequest<'_>, url: &str) -> Result<Option<Response<Incoming>>, AttemptError> {
        let mut request = read.to_http(url)?;
        let identity = self.signer.sign(&mut request, url).await?;
        let connection = https::ConnectionHandle::capture(&mut request);
        let attempt = self.instrumentation.start(read.method.as_str(), url);
        let response = self.send(request).await;
        let status = match &response {
            Ok(Ok(response)) => Some(response.status().as_u16()),
            Ok(Err(error_response)) => Some(error_response.status),
            Err(_) => None,
        };
        self.instrumentation.end(&attempt, status);
        let error_response = match response {
            Ok(Ok(response)) => return Ok(Some(response)),
            Ok(Err(error_response)) if error_response.is_not_found() => return Ok(None),
            Ok(Err(error_response)) => error_response,
            Err(error) => return Err(AttemptError { is_transient: true, ..error.into() }),
        };
        let is_transient = error_response.is_transient();
        if is_transient {
            // The next attempt opens a new connection, which may lead to another server.
            connection.retire();
        }
        let is_clock_corrected = error_response.skewed_clock().is_some_and(|theirs| self.signer.adjust_clock(theirs));
        let access_key = identity.as_ref().and_then(access_key).filter(|_| error_response.rejects_credentials());
        Err(AttemptError {
            is_transient: is_transient || is_clock_corrected,
            retry_after: error_response.retry_after,
            is_other_identity: access_key.is_some_and(|access_key| self.credentials.reject(access_key)),
            error: error_response.into_store_error(),
        })
    }

    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Result<Response<Incoming>, S3ErrorResponse>, StoreError> {
        let response = with_timeout(self.attempt_timeout, self.http.request(request)).await?;
        let response = response.map_err(|error| {
            let source = chain(&error).into();
            if https::is_timeout(&error) { StoreError::Timeout { source } } else { StoreError::Unavailable { source } }
        })?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        Ok(Err(with_timeout(self.attempt_timeout, S3ErrorResponse::read(response)).await?))
    }

    /// URL of an object. Every byte that is neither unreserved nor a slash is encoded, as signatures require.
    fn url(&self, key: &ObjectKey) -> String {
        format!("{}{}", self.base_url, encode_path(key.as_str()))
    }
}

impl From<StoreError> for AttemptError {
    /// A permanent failure.
    fn from(error: StoreError) -> Self {
        Self { error, is_transient: false, retry_after: None, is_other_identity: false }
    }
}

impl<'a> ReadRequest<'a> {
    /// A request for the whole object.
    fn new(method: &'a Method, key: &'a ObjectKey) -> Self {
        Self { method, key, range: None, if_match: None }
    }

    fn to_http(self, url: &str) -> Result<Request<Full<Bytes>>, StoreError> {
        let mut request = Request::builder().method(self.method).uri(url).header(USER_AGENT, AGENT);
        if let Some(range) = self.range {
            request = request.header(RANGE, range_header(range));
        }
        if let Some(etag) = self.if_match {
            request = request.header(IF_MATCH, etag);
        }
        if self.method == Method::GET {
            // S3 sends checksums only on request.
            request = request.header("x-amz-checksum-mode", "ENABLED");
        }
        request.body(Full::default()).map_err(|error| StoreError::Other { source: error.into() })
    }
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::From { first } => format!("bytes={first}-"),
        ByteRange::FromTo { first, last } => format!("bytes={first}-{last}"),
        ByteRange::Suffix { bytes } => format!("bytes=-{bytes}"),
    }
}
