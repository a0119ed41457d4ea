//! Configuration of the AWS SDK's client, which sends everything except reads of objects.
//!
//! The SDK has no timeouts by default; this configuration sets one for each step. Checksums are sent only where S3
//! requires them, because other servers do not support the newer algorithms. A checksum in a response is verified.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader};
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

use super::credentials::CredentialCache;
use super::error::S3ErrorResponse;
use super::http_client::SdkHttpClient;
use super::instrument::S3Instrumentation;
use crate::config;

/// Time after which an idle connection is closed. S3 closes idle connections after about 20 seconds, and a request on a
/// connection that is being closed fails.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(15);

pub(super) async fn client_config(
    settings: &config::S3,
    instrumentation: S3Instrumentation,
    credentials: &CredentialCache,
) -> aws_sdk_s3::Config {
    let shared = sdk_defaults(settings, credentials.http()).load().await;
    let config = aws_sdk_s3::config::Builder::from(&shared)
        .interceptor(instrumentation)
        .force_path_style(settings.path_style || is_ip_address(&settings.endpoint))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // Servers that send no checksums ignore the request for one.
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        // Reads of a body have a separate timeout. The SDK's protection would treat a slow client as a stalled store.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if settings.anonymous {
        return config.build();
    }
    config.identity_cache(credentials.clone()).retry_classifier(RejectedCredentials(credentials.clone())).build()
}

/// The settings of all clients of the SDK, including those that load credentials.
pub(super) fn sdk_defaults(settings: &config::S3, http: SdkHttpClient) -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.attempt_timeout())
        .operation_attempt_timeout(settings.attempt_timeout())
        .operation_timeout(settings.operation_timeout)
        .build();
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
        shared = shared.endpoint_url(endpoint_url(&settings.endpoint));
    }
    shared
}

/// Repeats a request of the SDK whose credentials the store rejected, if others can be loaded.
#[derive(Debug)]
struct RejectedCredentials(CredentialCache);

impl ClassifyRetry for RejectedCredentials {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let rejected_key = || {
            let response = S3ErrorResponse::of_sdk(context.response()?, None)?;
            let authorization = context.request()?.headers().get("authorization")?;
            let (_, credential) = authorization.split_once("Credential=")?;
            credential.split('/').next().filter(|_| response.rejects_credentials())
        };
        match rejected_key() {
            Some(access_key) if self.0.reject(access_key) => RetryAction::transient_error(),
            Some(_) | None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "rejected credentials"
    }
}

/// The endpoint with exactly one slash at its end, because the SDK appends the bucket without adding a slash.
pub(super) fn endpoint_url(endpoint: &str) -> String {
    format!("{}/", endpoint.trim_end_matches('/'))
}

/// True if the host is an IP address, which has no subdomains for buckets.
fn is_ip_address(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.parse::<std::net::SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok()
}
