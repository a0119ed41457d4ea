//! Signatures of reads (AWS Signature Version 4).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use http::Request;

use super::credentials::find_credentials_error;
use super::endpoint::SdkCredentials;
use crate::origin::error::{BoxError, StoreError};

/// Signs requests without a body.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    service: String,
    /// Requests are not signed without credentials.
    credentials: Option<SdkCredentials>,
    /// Seconds by which the store's clock is ahead of this machine's clock, measured when the store rejects a
    /// signature.
    clock_offset: AtomicI64,
}

/// SHA-256 of an empty body.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Signer {
    pub(super) fn new(region: String, service: String, credentials: Option<SdkCredentials>) -> Self {
        Self { region, service, credentials, clock_offset: AtomicI64::new(0) }
    }

    /// Adds a signature to `request`, whose URL is `url`. Returns the credentials that signed it.
    ///
    /// # Errors
    /// There are no credentials.
    pub(super) async fn sign<B>(&self, request: &mut Request<B>, url: &str) -> Result<Option<Identity>, StoreError> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let identity = credentials.current().await.map_err(|error| match find_credentials_error(&*error) {
            Some(source) => StoreError::NoCredentials { source },
            None => StoreError::Unavailable { source: error },
        })?;
        // S3 expects signed paths as they are sent: neither encoded twice nor normalized.
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(&self.service)
            .time(self.now())
            .settings(settings);
        let params = params.build().map_err(other)?.into();
        let headers = request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let body = SignableBody::Precomputed(EMPTY_SHA256.to_owned());
        let signable = SignableRequest::new(request.method().as_str(), url, headers, body).map_err(other)?;
        let (signature, _) = sign(signable, &params).map_err(other)?.into_parts();
        signature.apply_to_request_http1x(request);
        Ok(Some(identity))
    }

    /// The current time, corrected by the known offset of the store's clock.
    fn now(&self) -> SystemTime {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        let (now, difference) = (SystemTime::now(), Duration::from_secs(offset.unsigned_abs()));
        let theirs = if offset < 0 { now.checked_sub(difference) } else { now.checked_add(difference) };
        theirs.unwrap_or(now)
    }

    /// Uses the store's time for all later signatures. True if the time has changed enough that the request should be
    /// retried.
    pub(super) fn adjust_clock(&self, theirs: SystemTime) -> bool {
        let ours = SystemTime::now();
        let seconds = |difference: Duration| i64::try_from(difference.as_secs()).unwrap_or_default();
        let offset = match theirs.duration_since(ours) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        };
        // A smaller change can come from the latency of the response and the resolution of its date.
        self.clock_offset.swap(offset, Ordering::Relaxed).abs_diff(offset) > 60
    }
}

fn other(error: impl Into<BoxError>) -> StoreError {
    StoreError::Other { source: error.into() }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use aws_config::BehaviorVersion;
    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_sdk_s3::Client;
    use aws_sdk_s3::config::{Config, Credentials, Region};

    use super::super::endpoint::S3Endpoint;
    use super::*;

    /// A signer whose credentials are valid for `time`. The n-th credentials have the token `token-n`.
    async fn signer(time: Duration) -> Signer {
        let given = Arc::new(AtomicUsize::new(0));
        let provider = provide_credentials_fn(move || {
            let n = given.fetch_add(1, Ordering::Relaxed) + 1;
            let (key, token) = (format!("KEY-{n}"), format!("token-{n}"));
            let expiry = SystemTime::now() + time;
            async move { Ok(Credentials::new(key, "secret", Some(token), Some(expiry), "test")) }
        });
        let config = Config::builder().behavior_version(BehaviorVersion::v2026_01_12());
        let config = config.region(Region::new("eu-west-1")).credentials_provider(provider).build();
        let S3Endpoint { region, service, credentials, .. } =
            S3Endpoint::resolve(&Client::from_conf(config), "pictures").await.unwrap();
        Signer::new(region, service, credentials)
    }

    async fn signed(signer: &Signer) -> Request<()> {
        let url = "https://pictures.s3.eu-west-1.amazonaws.com/a%20b.jpg";
        let mut request = Request::get(url).header("range", "bytes=0-9").body(()).unwrap();
        signer.sign(&mut request, url).await.unwrap();
        request
    }

    fn header<'a>(request: &'a Request<()>, name: &str) -> &'a str {
        request.headers().get(name).unwrap().to_str().unwrap()
    }

    #[tokio::test]
    async fn a_signature_covers_the_headers_and_the_session_token() {
        let signer = signer(Duration::from_secs(3600)).await;
        for _ in 0..2 {
            let request = signed(&signer).await;
            assert_eq!(header(&request, "x-amz-security-token"), "token-1", "valid credentials are reused");
            assert_eq!(header(&request, "x-amz-content-sha256"), EMPTY_SHA256);
            let authorization = header(&request, "authorization");
            assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=KEY-1/"), "{authorization}");
            assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
            let covered = "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token";
            assert!(authorization.contains(covered), "{authorization}");
        }
    }

    #[tokio::test]
    async fn expiring_credentials_are_replaced() {
        let signer = signer(Duration::from_secs(1)).await;
        for n in 1..=3 {
            let request = signed(&signer).await;
            assert_eq!(header(&request, "x-amz-security-token"), format!("token-{n}"));
        }
    }

    #[tokio::test]
    async fn signatures_use_the_time_of_the_store() {
        let signer = signer(Duration::from_secs(3600)).await;
        for (days, day) in [(0.5, "19700101T1"), (36_525.5, "20700101T1")] {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400).mul_f64(days);
            assert_eq!((signer.adjust_clock(theirs), signer.adjust_clock(theirs)), (true, false));
            let request = signed(&signer).await;
            assert!(header(&request, "x-amz-date").starts_with(day), "{:?}", request.headers());
        }
    }

    #[tokio::test]
    async fn requests_without_credentials_are_not_signed() {
        let request = signed(&Signer::new("eu-west-1".into(), "s3".into(), None)).await;
        assert_eq!(request.headers().len(), 1);
    }
}
