//! Signatures of reads (Signature Version 4), by AWS's own crate.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use http::Request;

use super::endpoint::Identities;
use crate::origin::error::{BoxError, StoreError};

/// Signs requests that have no body.
#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    service: String,
    /// `None` signs nothing.
    identities: Option<Identities>,
    /// How many seconds the store's clock is ahead of this machine's, where it has refused for that.
    ahead_s: AtomicI64,
}

/// The SHA-256 of no bytes.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Signer {
    pub(super) fn new(region: String, service: String, identities: Option<Identities>) -> Self {
        Self { region, service, identities, ahead_s: AtomicI64::new(0) }
    }

    /// Adds a signature over `request` as it is, which is for `url`.
    ///
    /// # Errors
    /// There are no credentials.
    pub(super) async fn sign<B>(&self, request: &mut Request<B>, url: &str) -> Result<(), StoreError> {
        let Some(identities) = &self.identities else { return Ok(()) };
        let identity = identities.now().await.map_err(|source| StoreError::Unavailable { source })?;
        // S3 takes paths as they are: neither encoded again nor made shorter.
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
        let body = SignableBody::Precomputed(EMPTY.to_owned());
        let signable = SignableRequest::new(request.method().as_str(), url, headers, body).map_err(other)?;
        let (signature, _) = sign(signable, &params).map_err(other)?.into_parts();
        signature.apply_to_request_http1x(request);
        Ok(())
    }

    /// What the store's clock says, as far as that is known to differ.
    fn now(&self) -> SystemTime {
        let ahead_s = self.ahead_s.load(Ordering::Relaxed);
        let (now, apart) = (SystemTime::now(), Duration::from_secs(ahead_s.unsigned_abs()));
        let theirs = if ahead_s < 0 { now.checked_sub(apart) } else { now.checked_add(apart) };
        theirs.unwrap_or(now)
    }

    /// Signs for a store whose clock says `theirs`, from now on, and says whether that is not what it did already.
    pub(super) fn adjust(&self, theirs: SystemTime) -> bool {
        let ours = SystemTime::now();
        let seconds = |apart: Duration| i64::try_from(apart.as_secs()).unwrap_or_default();
        let ahead_s = match theirs.duration_since(ours) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        };
        // A clock of whole seconds, and the way of an answer, are no news.
        self.ahead_s.swap(ahead_s, Ordering::Relaxed).abs_diff(ahead_s) > 60
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

    use super::super::endpoint::Place;
    use super::*;

    /// A signer whose n-th credentials are good for `time`.
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
        let Place { region, service, identities, .. } =
            Place::of(&Client::from_conf(config), "pictures").await.unwrap();
        Signer::new(region, service, identities)
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
    async fn a_signature_covers_headers_and_the_token_of_its_session() {
        let signer = signer(Duration::from_secs(3600)).await;
        for _ in 0..2 {
            let request = signed(&signer).await;
            assert_eq!(header(&request, "x-amz-security-token"), "token-1", "credentials are kept while they are good");
            assert_eq!(header(&request, "x-amz-content-sha256"), EMPTY);
            let authorization = header(&request, "authorization");
            assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=KEY-1/"), "{authorization}");
            assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
            let covered = "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token";
            assert!(authorization.contains(covered), "{authorization}");
        }
    }

    #[tokio::test]
    async fn credentials_that_are_about_to_expire_are_replaced() {
        let signer = signer(Duration::from_secs(1)).await;
        for n in 1..=3 {
            let request = signed(&signer).await;
            assert_eq!(header(&request, "x-amz-security-token"), format!("token-{n}"));
        }
    }

    #[tokio::test]
    async fn it_signs_for_the_clock_that_the_store_has() {
        let signer = signer(Duration::from_secs(3600)).await;
        for (days, day) in [(0.5, "19700101T1"), (36_525.5, "20700101T1")] {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400).mul_f64(days);
            assert_eq!((signer.adjust(theirs), signer.adjust(theirs)), (true, false));
            let request = signed(&signer).await;
            assert!(header(&request, "x-amz-date").starts_with(day), "{:?}", request.headers());
        }
    }

    #[tokio::test]
    async fn nothing_is_signed_for_nobody() {
        let request = signed(&Signer::new("eu-west-1".into(), "s3".into(), None)).await;
        assert_eq!(request.headers().len(), 1);
    }
}
