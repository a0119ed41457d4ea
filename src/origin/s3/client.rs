//! The AWS SDK's client as it is used here: for all but reads of objects.
//!
//! The SDK waits for ever by itself; here it has a timeout for each step. Checksums are sent only where S3 requires them, since
//! servers of other makes do not know the newer ones; what comes with one is held against it.

use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{
    Region, RequestChecksumCalculation, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};

use super::instrument::Count;
use crate::config;

/// S3 closes idle connections after some 20 seconds; a request on one that is being closed fails.
pub(super) const POOL_IDLE: Duration = Duration::from_secs(15);

pub(super) async fn client_config(settings: &config::S3, counts: Count) -> aws_sdk_s3::Config {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.attempt_timeout())
        .operation_attempt_timeout(settings.attempt_timeout())
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
        shared = shared.endpoint_url(base(&settings.endpoint));
    }
    let shared = shared.load().await;
    aws_sdk_s3::config::Builder::from(&shared)
        .interceptor(counts)
        .force_path_style(settings.path_style || is_address(&settings.endpoint))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        // Where an answer has a checksum, its bytes are held against it; asking for one does no harm elsewhere.
        .response_checksum_validation(ResponseChecksumValidation::WhenSupported)
        // Bodies have timeouts of our own between reads; the SDK's protection counts a client that reads slowly as a stall.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build()
}

/// An endpoint as the SDK wants it: it puts a bucket behind a path as it is.
pub(super) fn base(endpoint: &str) -> String {
    format!("{}/", endpoint.trim_end_matches('/'))
}

/// An IP address has no subdomains to name buckets by.
fn is_address(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
    host.parse::<std::net::SocketAddr>().is_ok() || host.parse::<std::net::IpAddr>().is_ok()
}
