//! Configuration of the AWS SDK's client, which sends everything except reads of objects.
//!
//! The SDK has no timeouts by default; here each step has one. Checksums are sent only where S3 requires them, because other
//! servers do not know the newer ones. A checksum in a response is verified.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};

use super::http_client::SdkHttpClient;
use super::instrument::S3Instrumentation;
use crate::config;

/// Shorter than the 20 seconds or so after which S3 closes an idle connection: a request on a closing connection fails.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(15);

pub(super) async fn client_config(settings: &config::S3, instrumentation: S3Instrumentation) -> aws_sdk_s3::Config {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.attempt_timeout())
        .operation_attempt_timeout(settings.attempt_timeout())
        .operation_timeout(settings.operation_timeout)
        .build();
    let mut shared = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(SdkHttpClient::default())
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
    let shared = shared.load().await;
    aws_sdk_s3::config::Builder::from(&shared)
        .interceptor(instrumentation)
        .force_path_style(settings.path_style || is_ip_address(&settings.endpoint))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // Servers that send no checksums ignore the request for one.
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        // Reads of a body have their own timeout. The SDK's protection would treat a slow client as a stalled store.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

/// The endpoint with one slash at its end: the SDK appends the bucket to the path without one.
pub(super) fn endpoint_url(endpoint: &str) -> String {
    format!("{}/", endpoint.trim_end_matches('/'))
}

/// True if the host is an IP address, which has no subdomains for buckets.
fn is_ip_address(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.parse::<std::net::SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok()
}
