//! Sends requests to S3: signed, retried after transient failures, counted and traced, each step with a time limit.
//!
//! This is a client of a few operations instead of the AWS SDK's for S3 (docs/decisions/s3-client.md). Credentials, region and
//! endpoint come from the same places: config, the environment, profiles and the metadata services of AWS.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_types::service_config::ServiceConfigKey;
use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};

use super::error::{S3Error, S3ErrorResponse};
use super::request::S3Request;
use crate::config;
use crate::observability::metrics;
use crate::origin::error::StoreError;
use crate::origin::public_url::encode_path;
use crate::origin::timeout::with_timeout;
use crate::support::error_chain::chain;
use crate::support::https::{self, AGENT, Incoming, Protocols};

mod credentials;
mod endpoint;
mod http_client;
mod instrument;
mod retry;
mod sign;

use credentials::CachedCredentials;
use endpoint::{EndpointSettings, S3Endpoint};
use http_client::CredentialsHttpClient;
use instrument::S3Instrumentation;
use retry::RetryPolicy;
use sign::Signer;

/// S3 closes idle connections after about 20 seconds; a request on a connection that is being closed fails.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// The longest document that is read: a page of 1000 keys of 1 KiB, escaped.
const DOCUMENT_BYTES_MAX: usize = 16 << 20;

/// Sends requests to one bucket.
#[derive(Debug)]
pub(super) struct S3Client {
    http: https::Client,
    bucket: String,
    endpoint: S3Endpoint,
    endpoint_settings: EndpointSettings,
    signer: Signer,
    retry_policy: RetryPolicy,
    instrumentation: S3Instrumentation,
    timeouts: Timeouts,
}

#[derive(Debug, Clone, Copy)]
struct Timeouts {
    /// From the start of an attempt to the header of its response, and between two reads of the response's body.
    attempt: Duration,
    /// All attempts.
    operation: Duration,
}

/// A failed attempt.
struct AttemptError {
    error: S3Error,
    /// True if the next attempt may succeed.
    is_transient: bool,
    retry_after: Option<Duration>,
}

impl S3Client {
    /// # Errors
    /// The reason why no request to `bucket` can be sent.
    pub(super) async fn open(bucket: &str, settings: &config::S3, metrics: metrics::S3Metrics) -> Result<Self, String> {
        let aws = load_aws_config(settings).await;
        let endpoint_settings = EndpointSettings {
            url: endpoint_url(settings, &aws),
            region: aws.region().map(ToString::to_string),
            path_style: settings.path_style,
            fips: aws.use_fips().unwrap_or_default(),
            dual_stack: aws.use_dual_stack().unwrap_or_default(),
        };
        let endpoint = S3Endpoint::resolve(bucket, &endpoint_settings)?;
        let protocols = if endpoint.url.starts_with("http://") { Protocols::Plain } else { Protocols::Http2 };
        let http = https::Client::with_options(settings.connect_timeout, POOL_IDLE, protocols);
        let credentials = aws.credentials_provider().map(CachedCredentials::new);
        Ok(Self {
            http: http.map_err(|error| format!("the system's root certificates cannot be read: {error}"))?,
            bucket: bucket.to_owned(),
            signer: Signer::new(endpoint.region.clone(), endpoint.service, credentials),
            endpoint,
            endpoint_settings,
            retry_policy: RetryPolicy::new(settings.attempts.get()),
            instrumentation: S3Instrumentation::new(metrics),
            timeouts: Timeouts { attempt: settings.attempt_timeout(), operation: settings.operation_timeout },
        })
    }

    /// URL of the bucket, without a slash at its end.
    pub(super) fn bucket_url(&self) -> &str {
        &self.endpoint.url
    }

    /// URL of an object. Every byte that is neither unreserved nor a slash is encoded, as signatures require.
    pub(super) fn object_url(&self, object: &str) -> String {
        format!("{}/{}", self.endpoint.url, encode_path(object))
    }

    /// URL of an object at the S3 server `endpoint`.
    ///
    /// # Errors
    /// `endpoint` is not a URL.
    pub(super) fn object_url_at(&self, endpoint: &str, object: &str) -> Result<String, StoreError> {
        let settings = EndpointSettings { url: Some(endpoint.to_owned()), ..self.endpoint_settings.clone() };
        let endpoint = S3Endpoint::resolve(&self.bucket, &settings).map_err(StoreError::other)?;
        Ok(format!("{}/{}", endpoint.url, encode_path(object)))
    }

    /// The URL of `request` with a signature in its query that expires after `time`.
    ///
    /// # Errors
    /// There are no credentials.
    pub(super) async fn presign(&self, request: &S3Request, time: Duration) -> Result<String, StoreError> {
        self.signer.presign(request, time).await
    }

    /// Time limit between two reads of a response's body.
    pub(super) fn attempt_timeout(&self) -> Duration {
        self.timeouts.attempt
    }

    /// Sends `request` and returns the response with its body still to be read.
    ///
    /// # Errors
    /// An error response, or no response.
    pub(super) async fn send(&self, request: &S3Request) -> Result<Response<Incoming>, S3Error> {
        self.with_retries(request, move || self.attempt(request)).await
    }

    /// Sends `request` and reads the response's body, which is a document.
    ///
    /// # Errors
    /// An error response, including an error document after the header of a 200, or no complete response.
    pub(super) async fn send_for_document(&self, request: &S3Request) -> Result<String, S3Error> {
        let attempt = move || async move {
            let document =
                with_timeout(self.timeouts.attempt, async { read_document(self.attempt(request).await?).await });
            let document = document.await.map_err(AttemptError::transient)??;
            match S3ErrorResponse::from_ok_document(&document) {
                Some(error) => Err(self.rejected(error)),
                None => Ok(document),
            }
        };
        self.with_retries(request, attempt).await
    }

    async fn with_retries<T, F>(&self, request: &S3Request, attempt: impl Fn() -> F) -> Result<T, S3Error>
    where
        F: Future<Output = Result<T, AttemptError>>,
    {
        let attempts = async {
            let mut failures = 0;
            loop {
                let AttemptError { error, is_transient, retry_after } = match attempt().await {
                    Ok(answer) => {
                        self.retry_policy.record_success(failures);
                        return Ok(answer);
                    }
                    Err(failure) => failure,
                };
                failures += 1;
                let pause = if is_transient { self.retry_policy.pause(failures, retry_after) } else { None };
                let Some(pause) = pause else { return Err(error) };
                tracing::debug!(method = %request.method, url = request.url, ?error, ?pause, "S3 request retried");
                tokio::time::sleep(pause).await;
            }
        };
        with_timeout(self.timeouts.operation, attempts).await?
    }

    async fn attempt(&self, request: &S3Request) -> Result<Response<Incoming>, AttemptError> {
        let mut signed = Request::new(Full::new(request.body.clone()));
        signed.method_mut().clone_from(&request.method);
        *signed.uri_mut() = request.url.parse().map_err(StoreError::other)?;
        signed.headers_mut().clone_from(&request.headers);
        self.signer.sign(&mut signed, request).await?;
        signed.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let connection = https::ConnectionHandle::capture(&mut signed);
        let attempt = self.instrumentation.start(request.method.as_str(), &request.url);
        let response = self.response(signed).await;
        let status = match &response {
            Ok(Ok(response)) => Some(response.status().as_u16()),
            Ok(Err(error)) => Some(error.status),
            Err(_) => None,
        };
        self.instrumentation.end(attempt, status);
        match response {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => {
                if error.is_transient() {
                    // A new connection may lead to another server.
                    connection.retire();
                }
                Err(self.rejected(error))
            }
            Err(error) => Err(AttemptError::transient(error)),
        }
    }

    /// A successful response, or an error response.
    async fn response(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Result<Response<Incoming>, S3ErrorResponse>, StoreError> {
        let response = with_timeout(self.timeouts.attempt, self.http.request(request)).await?;
        let response = response.map_err(|error| {
            let source = chain(&error).into();
            if https::is_timeout(&error) { StoreError::Timeout { source } } else { StoreError::Unavailable { source } }
        })?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        Ok(Err(with_timeout(self.timeouts.attempt, S3ErrorResponse::read(response)).await?))
    }

    /// An attempt that ended with an error response. If the clocks differ, the next attempt is signed for the store's clock.
    fn rejected(&self, error: S3ErrorResponse) -> AttemptError {
        let is_adjusted = error.skewed_clock().is_some_and(|theirs| self.signer.adjust_clock(theirs));
        let (is_transient, retry_after) = (error.is_transient() || is_adjusted, error.retry_after);
        AttemptError { error: S3Error::Response(error), is_transient, retry_after }
    }
}

impl AttemptError {
    fn transient(error: StoreError) -> Self {
        Self { error: error.into(), is_transient: true, retry_after: None }
    }
}

impl From<StoreError> for AttemptError {
    /// An error that every attempt would end with.
    fn from(error: StoreError) -> Self {
        Self { error: error.into(), is_transient: false, retry_after: None }
    }
}

async fn read_document(response: Response<Incoming>) -> Result<String, AttemptError> {
    let mut body = Limited::new(response.into_body(), DOCUMENT_BYTES_MAX);
    let mut document = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|source| AttemptError::transient(StoreError::Unavailable { source }))?;
        if let Ok(chunk) = frame.into_data() {
            document.extend_from_slice(&chunk);
        }
    }
    Ok(String::from_utf8(document).map_err(StoreError::other)?)
}

async fn load_aws_config(settings: &config::S3) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(CredentialsHttpClient);
    if settings.anonymous {
        loader = loader.no_credentials();
    }
    if !settings.region.is_empty() {
        loader = loader.region(Region::new(settings.region.clone()));
    }
    loader.load().await
}

/// The URL in config, or the one that AWS's tools take from the environment or the profile, for S3 or for all services.
fn endpoint_url(settings: &config::S3, aws: &SdkConfig) -> Option<String> {
    if !settings.endpoint.is_empty() {
        return Some(settings.endpoint.clone());
    }
    let key = ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let for_s3 = aws.service_config().zip(key.ok()).and_then(|(config, key)| config.load_config(key));
    for_s3.or_else(|| aws.endpoint_url().map(str::to_owned))
}
