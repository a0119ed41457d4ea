//! Signatures of requests (AWS Signature Version 4).

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation, SigningInstructions,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::Request;
use ring::digest::{SHA256, digest};

use super::credentials::CachedCredentials;
use crate::origin::error::StoreError;
use crate::origin::s3::request::S3Request;
use crate::support::hex;

#[derive(Debug)]
pub(super) struct Signer {
    region: String,
    service: &'static str,
    /// Requests are not signed without credentials.
    credentials: Option<CachedCredentials>,
    /// Seconds that the store's clock is ahead of this machine's, as far as rejected signatures have shown.
    clock_offset: AtomicI64,
}

impl Signer {
    pub(super) fn new(region: String, service: &'static str, credentials: Option<CachedCredentials>) -> Self {
        Self { region, service, credentials, clock_offset: AtomicI64::new(0) }
    }

    /// Adds the headers of a signature over `source` to `request`, which was made of it.
    ///
    /// # Errors
    /// There are no credentials.
    pub(super) async fn sign<B>(&self, request: &mut Request<B>, source: &S3Request) -> Result<(), StoreError> {
        let Some(credentials) = &self.credentials else { return Ok(()) };
        let mut settings = settings();
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let hash = if source.body.is_empty() {
            EMPTY_SHA256.to_owned()
        } else {
            hex::encode(digest(&SHA256, &source.body).as_ref())
        };
        let body = SignableBody::Precomputed(hash);
        self.instructions(&credentials.get().await?, settings, source, body)?.apply_to_request_http1x(request);
        Ok(())
    }

    /// The URL of `request` with a signature in its query that expires after `time`. It covers the headers, and no body.
    ///
    /// # Errors
    /// There are no credentials.
    pub(super) async fn presign(&self, request: &S3Request, time: Duration) -> Result<String, StoreError> {
        let credentials = self.credentials.as_ref().ok_or_else(|| StoreError::other("there are no credentials"))?;
        let mut settings = settings();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(time);
        let body = SignableBody::UnsignedPayload;
        let instructions = self.instructions(&credentials.get().await?, settings, request, body)?;
        let mut signed = Request::get(&request.url).body(()).map_err(StoreError::other)?;
        instructions.apply_to_request_http1x(&mut signed);
        Ok(signed.uri().to_string())
    }

    fn instructions(
        &self,
        credentials: &Credentials,
        settings: SigningSettings,
        request: &S3Request,
        body: SignableBody<'_>,
    ) -> Result<SigningInstructions, StoreError> {
        let identity = credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(self.now())
            .settings(settings);
        let params = params.build().map_err(StoreError::other)?.into();
        let headers = request.headers.iter();
        let headers = headers.filter_map(|(name, value)| Some((name.as_str(), str::from_utf8(value.as_bytes()).ok()?)));
        let signable = SignableRequest::new(request.method.as_str(), &request.url, headers, body);
        let output = sign(signable.map_err(StoreError::other)?, &params).map_err(StoreError::other)?;
        Ok(output.into_parts().0)
    }

    /// The time of the store's clock, as far as it is known to differ.
    fn now(&self) -> SystemTime {
        let offset = self.clock_offset.load(Ordering::Relaxed);
        let (now, difference) = (SystemTime::now(), Duration::from_secs(offset.unsigned_abs()));
        let theirs = if offset < 0 { now.checked_sub(difference) } else { now.checked_add(difference) };
        theirs.unwrap_or(now)
    }

    /// Signs with the store's time from now on. True if that changes the signatures, so that the request should be retried.
    pub(super) fn adjust_clock(&self, theirs: SystemTime) -> bool {
        let ours = SystemTime::now();
        let seconds = |difference: Duration| i64::try_from(difference.as_secs()).unwrap_or_default();
        let offset = match theirs.duration_since(ours) {
            Ok(ahead) => seconds(ahead),
            Err(behind) => -seconds(behind.duration()),
        };
        // Ignores the latency of the response and the resolution of its date.
        self.clock_offset.swap(offset, Ordering::Relaxed).abs_diff(offset) > 60
    }
}

/// The SHA-256 of no bytes.
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// S3 takes paths as they are: neither encoded twice nor normalized.
fn settings() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use http::Method;
    use http::header::RANGE;

    use super::*;

    /// A signer whose n-th credentials are valid for `time`.
    fn signer(time: Duration) -> Signer {
        let given = Arc::new(AtomicUsize::new(0));
        let provider = provide_credentials_fn(move || {
            let n = given.fetch_add(1, Ordering::Relaxed) + 1;
            let (key, token) = (format!("KEY-{n}"), format!("token-{n}"));
            let expiry = SystemTime::now() + time;
            async move { Ok(Credentials::new(key, "secret", Some(token), Some(expiry), "test")) }
        });
        let credentials = CachedCredentials::new(SharedCredentialsProvider::new(provider));
        Signer::new("eu-west-1".into(), "s3", Some(credentials))
    }

    async fn signed(signer: &Signer) -> Request<()> {
        let url = "https://pictures.s3.eu-west-1.amazonaws.com/a%20b.jpg";
        let source = S3Request::new(Method::GET, url.to_owned()).with_header(RANGE, "bytes=0-9").unwrap();
        let mut request = Request::get(url).body(()).unwrap();
        request.headers_mut().clone_from(&source.headers);
        signer.sign(&mut request, &source).await.unwrap();
        request
    }

    fn header<'a>(request: &'a Request<()>, name: &str) -> &'a str {
        request.headers().get(name).unwrap().to_str().unwrap()
    }

    #[tokio::test]
    async fn a_signature_covers_the_headers_and_the_session_token() {
        let signer = signer(Duration::from_secs(3600));
        for _ in 0..2 {
            let request = signed(&signer).await;
            assert_eq!(header(&request, "x-amz-security-token"), "token-1", "valid credentials are kept");
            assert_eq!(header(&request, "x-amz-content-sha256"), EMPTY_SHA256);
            let authorization = header(&request, "authorization");
            assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=KEY-1/"), "{authorization}");
            assert!(authorization.contains("/eu-west-1/s3/aws4_request"), "{authorization}");
            let covered = "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date;x-amz-security-token";
            assert!(authorization.contains(covered), "{authorization}");
        }
    }

    #[tokio::test]
    async fn credentials_are_replaced_before_they_expire() {
        let signer = signer(Duration::from_secs(1));
        for n in 1..=3 {
            let request = signed(&signer).await;
            assert_eq!(header(&request, "x-amz-security-token"), format!("token-{n}"));
        }
    }

    #[tokio::test]
    async fn signatures_follow_the_clock_of_the_store() {
        let signer = signer(Duration::from_secs(3600));
        for (days, day) in [(0.5, "19700101T1"), (36_525.5, "20700101T1")] {
            let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400).mul_f64(days);
            assert_eq!((signer.adjust_clock(theirs), signer.adjust_clock(theirs)), (true, false));
            let request = signed(&signer).await;
            assert!(header(&request, "x-amz-date").starts_with(day), "{:?}", request.headers());
        }
    }

    #[tokio::test]
    async fn anonymous_requests_are_not_signed() {
        let request = signed(&Signer::new("eu-west-1".into(), "s3", None)).await;
        assert_eq!(request.headers().len(), 1);
    }

    #[tokio::test]
    async fn a_presigned_url_covers_type_and_length_and_expires() {
        let request = S3Request::new(Method::PUT, "https://s3.example.com/pictures/a%20b.jpg".into());
        let request = request.with_header(http::header::CONTENT_TYPE, "image/jpeg").unwrap();
        let request = request.with_header(http::header::CONTENT_LENGTH, "9").unwrap();
        let url = signer(Duration::from_secs(3600)).presign(&request, Duration::from_secs(60)).await.unwrap();
        assert!(url.starts_with("https://s3.example.com/pictures/a%20b.jpg?"), "{url}");
        let covered = "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost";
        for part in ["X-Amz-Expires=60", covered, "X-Amz-Security-Token=token-1", "X-Amz-Signature="] {
            assert!(url.contains(part), "{part}: {url}");
        }
    }
}
