//! Sends GET and HEAD requests without the SDK.
//!
//! Most requests to S3 are reads, and sending one with the SDK takes several times as long as signing it
//! (docs/decisions/s3-reads.md). Timeouts, retries, clock correction and instrumentation work as in the SDK.

use std::time::Duration;

use aws_sdk_s3::Client;
use bytes::Bytes;
use http::header::{RANGE, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::Full;

use super::client::POOL_IDLE;
use super::endpoint::S3Endpoint;
use super::error::S3ErrorResponse;
use super::instrument::S3Instrumentation;
use super::object;
use super::retry::RetryPolicy;
use super::sign::Signer;
use crate::config;
use crate::origin::body::Object;
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
    retry_policy: RetryPolicy,
    instrumentation: S3Instrumentation,
    /// Limit from the start of an attempt to the headers of its response, and between two reads of the body.
    attempt_timeout: Duration,
    /// Limit for all attempts together.
    operation_timeout: Duration,
}

/// A failed attempt.
struct AttemptError {
    error: StoreError,
    /// True if the next attempt may succeed.
    is_transient: bool,
    retry_after: Option<Duration>,
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
    ) -> Result<Self, String> {
        let S3Endpoint { url, region, service, credentials } = S3Endpoint::resolve(client, bucket).await?;
        let credentials = credentials.filter(|_| !settings.anonymous);
        let protocols = if url.starts_with("http://") { Protocols::Plain } else { Protocols::Http2 };
        let http = https::Client::with_options(settings.connect_timeout, POOL_IDLE, protocols);
        Ok(Self {
            http: http.map_err(|error| format!("the system's root certificates cannot be read: {error}"))?,
            base_url: format!("{url}/{}", encode_path(prefix)),
            signer: Signer::new(region, service, credentials),
            retry_policy: RetryPolicy::new(settings.attempts.get()),
            instrumentation,
            attempt_timeout: settings.attempt_timeout(),
            operation_timeout: settings.operation_timeout,
        })
    }

    pub(super) async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, StoreError> {
        let response = self.send_with_retries(&Method::HEAD, key, None).await?;
        response.map(|response| object::meta(response.headers())).transpose()
    }

    pub(super) async fn get(&self, key: &ObjectKey, range: Option<ByteRange>) -> Result<Option<Object>, StoreError> {
        let response = self.send_with_retries(&Method::GET, key, range).await?;
        response.map(|response| object::object(response, range, self.attempt_timeout)).transpose()
    }

    /// Sends the request until it succeeds or the retries end. `None` if the object does not exist. The body of the
    /// response has not been read yet.
    async fn send_with_retries(
        &self,
        method: &Method,
        key: &ObjectKey,
        range: Option<ByteRange>,
    ) -> Result<Option<Response<Incoming>>, StoreError> {
        let url = self.url(key);
        let attempts = async {
            let mut failures = 0;
            loop {
                let AttemptError { error, is_transient, retry_after } = match self.attempt(method, &url, range).await {
                    Ok(response) => {
                        self.retry_policy.record_success(failures);
                        return Ok(response);
                    }
                    Err(error) => error,
                };
                failures += 1;
                let pause = if is_transient { self.retry_policy.pause(failures, retry_after) } else { None };
                let Some(pause) = pause else { return Err(error) };
                tracing::debug!(%key, %error, ?pause, "retrying a read of S3");
                tokio::time::sleep(pause).await;
            }
        };
        with_timeout(self.operation_timeout, attempts).await?
    }

    async fn attempt(
        &self,
        method: &Method,
        url: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<Response<Incoming>>, AttemptError> {
        let mut request = request(method, url, range)?;
        self.signer.sign(&mut request, url).await?;
        let connection = https::ConnectionHandle::capture(&mut request);
        let attempt = self.instrumentation.start(method.as_str(), url);
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
            Err(error) => return Err(AttemptError { error, is_transient: true, retry_after: None }),
        };
        let is_transient = error_response.is_transient();
        if is_transient {
            // The next attempt opens a new connection, which may lead to another server.
            connection.retire();
        }
        let is_clock_corrected = error_response.skewed_clock().is_some_and(|theirs| self.signer.adjust_clock(theirs));
        let error = error_response.to_store_error(error_response.to_string().into());
        Err(AttemptError {
            error,
            is_transient: is_transient || is_clock_corrected,
            retry_after: error_response.retry_after,
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
        Self { error, is_transient: false, retry_after: None }
    }
}

fn request(method: &Method, url: &str, range: Option<ByteRange>) -> Result<Request<Full<Bytes>>, StoreError> {
    let mut request = Request::builder().method(method).uri(url).header(USER_AGENT, AGENT);
    if let Some(range) = range {
        request = request.header(RANGE, range_header(range));
    }
    if method == Method::GET {
        // S3 sends checksums only on request.
        request = request.header("x-amz-checksum-mode", "ENABLED");
    }
    request.body(Full::default()).map_err(|error| StoreError::Other { source: error.into() })
}

fn range_header(range: ByteRange) -> String {
    match range {
        ByteRange::From { first } => format!("bytes={first}-"),
        ByteRange::FromTo { first, last } => format!("bytes={first}-{last}"),
        ByteRange::Suffix { bytes } => format!("bytes=-{bytes}"),
    }
}
