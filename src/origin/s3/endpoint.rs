//! The endpoint and the credentials of a bucket, taken from the SDK.
//!
//! The SDK's endpoint rules (virtual hosts, path style, ARNs, FIPS, environment) and its chain of credentials are not
//! implemented again. A GET is started with the SDK; an interceptor captures the configuration of the request and ends
//! it before it is sent. The credentials come from the SDK's cache, which renews them before they expire.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::endpoint::Params;
use aws_sdk_s3::config::interceptors::BeforeSerializationInterceptorContextMut;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{ConfigBag, Intercept, Layer, RuntimeComponents};
use aws_sdk_s3::config::{ResolveCachedIdentity, retry::RetryConfig};
use aws_sdk_s3::error::{BoxError, DisplayErrorContext};
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::endpoint::{EndpointResolverParams, ResolveEndpoint};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::runtime_components::GetIdentityResolver;
use aws_smithy_types::endpoint::{Endpoint, EndpointAuthScheme};

/// Address of a bucket, and the parameters of its signatures.
#[derive(Debug)]
pub(super) struct S3Endpoint {
    /// URL of the bucket, without a slash at its end.
    pub(super) url: String,
    /// Region and service that a signature names.
    pub(super) region: String,
    pub(super) service: String,
    /// `None` if requests are not signed.
    pub(super) credentials: Option<SdkCredentials>,
}

/// The credentials of the SDK, with its cache.
#[derive(Debug)]
pub(super) struct SdkCredentials {
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    /// Time limits and retries of loading credentials.
    limits: ConfigBag,
}

impl S3Endpoint {
    /// Resolves the endpoint of `bucket` with `client`, without a request to the store.
    ///
    /// # Errors
    /// The reason why no request to this bucket can be sent, such as a missing region.
    pub(super) async fn resolve(client: &Client, bucket: &str) -> Result<Self, String> {
        let probe = EndpointProbe::default();
        let read = client.get_object().bucket(bucket).key("-").customize().interceptor(probe.clone()).send().await;
        let captured = probe.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(CapturedConfig { params, components, limits }) = captured else {
            return Err(read.err().map(|error| DisplayErrorContext(&error).to_string()).unwrap_or_default());
        };
        let endpoint = components.endpoint_resolver().resolve_endpoint(&params).await;
        let endpoint = endpoint.map_err(|error| DisplayErrorContext(&*error).to_string())?;
        let (region, service) = signing_scope(&endpoint)
            .ok_or("multi-region access points need signature version 4A, which is not supported")?;
        let resolver = components.identity_resolver(AuthSchemeId::from("sigv4"));
        let credentials = resolver.map(|resolver| SdkCredentials { resolver, components, limits });
        Ok(Self { url: endpoint.url().trim_end_matches('/').to_owned(), region, service, credentials })
    }
}

impl SdkCredentials {
    /// The current credentials, from the cache unless they are about to expire.
    pub(super) async fn current(&self) -> Result<Identity, BoxError> {
        let cache = self.components.identity_cache();
        cache.resolve_cached_identity(self.resolver.clone(), &self.components, &self.limits).await
    }
}

/// Region and service of Signature Version 4; `None` if the endpoint needs version 4A.
fn signing_scope(endpoint: &Endpoint) -> Option<(String, String)> {
    let scheme = endpoint.auth_schemes().iter().find(|scheme| scheme.name() != "sigv4a")?;
    let text = |scheme: &EndpointAuthScheme, name| Some(scheme.get(name)?.as_string()?.to_owned());
    Some((text(scheme, "signingRegion")?, text(scheme, "signingName")?))
}

/// The configuration that the SDK resolved for a request.
#[derive(Debug)]
struct CapturedConfig {
    params: EndpointResolverParams,
    components: RuntimeComponents,
    limits: ConfigBag,
}

/// An interceptor that captures the configuration of a request and ends it.
#[derive(Debug, Clone, Default)]
struct EndpointProbe(Arc<Mutex<Option<CapturedConfig>>>);

impl Intercept for EndpointProbe {
    fn name(&self) -> &'static str {
        "endpoint probe"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let params = config.load::<EndpointResolverParams>().and_then(EndpointResolverParams::get::<Params>);
        let params = EndpointResolverParams::new(params.ok_or("the SDK resolved no endpoint parameters")?.clone());
        let mut limits = Layer::new("limits");
        limits.store_or_unset(config.load::<RetryConfig>().cloned());
        limits.store_or_unset(config.load::<TimeoutConfig>().cloned());
        let captured =
            CapturedConfig { params, components: components.clone(), limits: ConfigBag::of_layers(vec![limits]) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(captured);
        Err("captured".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::client_config;
    use super::super::credentials::CredentialCache;
    use super::super::instrument::S3Instrumentation;
    use super::*;
    use crate::config;
    use crate::observability::metrics;

    async fn endpoint_of(endpoint: &str, region: &str, path_style: bool, bucket: &str) -> Result<S3Endpoint, String> {
        let (endpoint, region) = (endpoint.to_owned(), region.to_owned());
        let settings = config::S3 { endpoint, region, path_style, ..Default::default() };
        let (instrumentation, credentials) =
            (S3Instrumentation::new(metrics::S3Metrics::default()), CredentialCache::new(&settings));
        let client = Client::from_conf(client_config(&settings, instrumentation, &credentials).await);
        S3Endpoint::resolve(&client, bucket).await
    }

    #[tokio::test]
    async fn the_bucket_is_in_the_host_or_in_the_path() {
        let table = [
            ("", false, "pictures", "https://pictures.s3.eu-west-1.amazonaws.com"),
            ("", true, "pictures", "https://s3.eu-west-1.amazonaws.com/pictures"),
            // A wildcard certificate covers one label only.
            ("", false, "my.pictures", "https://s3.eu-west-1.amazonaws.com/my.pictures"),
            ("https://s3.example.com", false, "pictures", "https://pictures.s3.example.com"),
            ("https://s3.example.com/base/", true, "pictures", "https://s3.example.com/base/pictures"),
            ("http://localhost:9000/base", true, "my.pictures", "http://localhost:9000/base/my.pictures"),
            ("http://localhost:9000/base", false, "pictures", "http://pictures.localhost:9000/base"),
            ("http://127.0.0.1:8333", false, "pictures", "http://127.0.0.1:8333/pictures"),
            ("http://[::1]:8333", false, "pictures", "http://[::1]:8333/pictures"),
        ];
        for (endpoint, path_style, bucket, url) in table {
            let resolved = endpoint_of(endpoint, "eu-west-1", path_style, bucket).await.unwrap();
            let found = (resolved.url.as_str(), resolved.region.as_str(), resolved.service.as_str());
            assert_eq!(found, (url, "eu-west-1", "s3"), "{endpoint} {bucket}");
        }
    }

    #[tokio::test]
    async fn an_access_point_arn_names_its_region() {
        let name = "arn:aws:s3:us-west-2:123456789012:accesspoint:cats";
        let resolved = endpoint_of("", "eu-west-1", false, name).await.unwrap();
        assert_eq!(resolved.url, "https://cats-123456789012.s3-accesspoint.us-west-2.amazonaws.com");
        assert_eq!(resolved.region, "us-west-2");
    }

    #[tokio::test]
    async fn a_directory_bucket_is_signed_for_s3express() {
        let resolved = endpoint_of("", "us-east-1", false, "pictures--use1-az4--x-s3").await.unwrap();
        assert_eq!(resolved.url, "https://pictures--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com");
        assert_eq!(resolved.service, "s3express");
    }

    #[tokio::test]
    async fn an_unusable_bucket_name_is_an_error_with_a_reason() {
        let names =
            [("arn:aws:s3:us-west-2:123456789012:cats", "ARN"), ("arn:aws:s3::123456789012:accesspoint:c.mrap", "4A")];
        for (bucket, reason) in names {
            let error = endpoint_of("", "eu-west-1", false, bucket).await.unwrap_err();
            assert!(error.contains(reason), "{bucket}: {error}");
        }
    }
}
