//! Where a bucket is and whose credentials it wants, as the SDK has it.
//!
//! Its rules (virtual hosts and path style, ARNs, FIPS, what the environment says) and its chain of credentials are not written
//! here again: a read is begun with it, and an interceptor looks at what it would do and ends it before anything is sent. The
//! credentials are then those of the SDK's own memory of them, which gets new ones before they expire.

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

/// A bucket as requests name it.
#[derive(Debug)]
pub(super) struct Place {
    /// The bucket's URL, without a slash at its end.
    pub(super) url: String,
    /// What signatures are for.
    pub(super) region: String,
    pub(super) service: String,
    /// `None` where nobody asks for any.
    pub(super) identities: Option<Identities>,
}

/// The credentials that the SDK has.
#[derive(Debug)]
pub(super) struct Identities {
    resolver: SharedIdentityResolver,
    components: RuntimeComponents,
    /// How long getting them may take.
    times: ConfigBag,
}

impl Place {
    /// What `client` knows of `bucket`. Nothing is sent.
    ///
    /// # Errors
    /// What every request to that bucket would end with, such as that there is no region.
    pub(super) async fn of(client: &Client, bucket: &str) -> Result<Self, String> {
        let look = Look::default();
        let read = client.get_object().bucket(bucket).key("-").customize().interceptor(look.clone()).send().await;
        let seen = look.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Seen { params, components, times }) = seen else {
            return Err(read.err().map(|error| DisplayErrorContext(&error).to_string()).unwrap_or_default());
        };
        let endpoint = components.endpoint_resolver().resolve_endpoint(&params).await;
        let endpoint = endpoint.map_err(|error| DisplayErrorContext(&*error).to_string())?;
        let (region, service) = signed_for(&endpoint).ok_or("it would need signatures of version 4A")?;
        let resolver = components.identity_resolver(AuthSchemeId::from("sigv4"));
        let identities = resolver.map(|resolver| Identities { resolver, components, times });
        Ok(Self { url: endpoint.url().trim_end_matches('/').to_owned(), region, service, identities })
    }
}

impl Identities {
    /// The credentials of now: those in memory unless they are about to expire.
    pub(super) async fn now(&self) -> Result<Identity, BoxError> {
        let cache = self.components.identity_cache();
        cache.resolve_cached_identity(self.resolver.clone(), &self.components, &self.times).await
    }
}

/// Region and service of Signature Version 4; the SDK is built without 4A, and there is no other for objects.
fn signed_for(endpoint: &Endpoint) -> Option<(String, String)> {
    let scheme = endpoint.auth_schemes().iter().find(|scheme| scheme.name() != "sigv4a")?;
    let text = |scheme: &EndpointAuthScheme, name| Some(scheme.get(name)?.as_string()?.to_owned());
    Some((text(scheme, "signingRegion")?, text(scheme, "signingName")?))
}

/// What the SDK has put together for a request.
#[derive(Debug)]
struct Seen {
    params: EndpointResolverParams,
    components: RuntimeComponents,
    times: ConfigBag,
}

/// Takes a look and ends the request.
#[derive(Debug, Clone, Default)]
struct Look(Arc<Mutex<Option<Seen>>>);

impl Intercept for Look {
    fn name(&self) -> &'static str {
        "look"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let params = config.load::<EndpointResolverParams>().and_then(EndpointResolverParams::get::<Params>);
        let params = EndpointResolverParams::new(params.ok_or("there are no parameters of an endpoint")?.clone());
        let mut times = Layer::new("times");
        times.store_or_unset(config.load::<RetryConfig>().cloned());
        times.store_or_unset(config.load::<TimeoutConfig>().cloned());
        let seen = Seen { params, components: components.clone(), times: ConfigBag::of_layers(vec![times]) };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
        Err("seen".into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::client_config;
    use super::super::instrument::Count;
    use super::*;
    use crate::config;
    use crate::observability::metrics;

    async fn place(endpoint: &str, region: &str, path_style: bool, bucket: &str) -> Result<Place, String> {
        let (endpoint, region) = (endpoint.to_owned(), region.to_owned());
        let settings = config::S3 { endpoint, region, path_style, ..Default::default() };
        let client = Client::from_conf(client_config(&settings, Count(metrics::S3Metrics::default())).await);
        Place::of(&client, bucket).await
    }

    #[tokio::test]
    async fn a_bucket_is_a_host_or_a_path_as_its_name_and_its_endpoint_allow() {
        let table = [
            ("", false, "pictures", "https://pictures.s3.eu-west-1.amazonaws.com"),
            ("", true, "pictures", "https://s3.eu-west-1.amazonaws.com/pictures"),
            // No certificate is for two labels more.
            ("", false, "my.pictures", "https://s3.eu-west-1.amazonaws.com/my.pictures"),
            ("https://s3.example.com", false, "pictures", "https://pictures.s3.example.com"),
            ("https://s3.example.com/base/", true, "pictures", "https://s3.example.com/base/pictures"),
            ("http://localhost:9000/base", true, "my.pictures", "http://localhost:9000/base/my.pictures"),
            ("http://localhost:9000/base", false, "pictures", "http://pictures.localhost:9000/base"),
            ("http://127.0.0.1:8333", false, "pictures", "http://127.0.0.1:8333/pictures"),
            ("http://[::1]:8333", false, "pictures", "http://[::1]:8333/pictures"),
        ];
        for (endpoint, path_style, bucket, url) in table {
            let place = place(endpoint, "eu-west-1", path_style, bucket).await.unwrap();
            let found = (place.url.as_str(), place.region.as_str(), place.service.as_str());
            assert_eq!(found, (url, "eu-west-1", "s3"), "{endpoint} {bucket}");
        }
    }

    #[tokio::test]
    async fn an_access_point_is_where_its_name_says() {
        let name = "arn:aws:s3:us-west-2:123456789012:accesspoint:cats";
        let place = place("", "eu-west-1", false, name).await.unwrap();
        assert_eq!(place.url, "https://cats-123456789012.s3-accesspoint.us-west-2.amazonaws.com");
        assert_eq!(place.region, "us-west-2");
    }

    #[tokio::test]
    async fn a_directory_bucket_is_signed_for_by_its_own_service() {
        let place = place("", "us-east-1", false, "pictures--use1-az4--x-s3").await.unwrap();
        assert_eq!(place.url, "https://pictures--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com");
        assert_eq!(place.service, "s3express");
    }

    #[tokio::test]
    async fn what_no_request_could_be_sent_to_says_why() {
        let names =
            [("arn:aws:s3:us-west-2:123456789012:cats", "ARN"), ("arn:aws:s3::123456789012:accesspoint:c.mrap", "4A")];
        for (bucket, reason) in names {
            let why = place("", "eu-west-1", false, bucket).await.unwrap_err();
            assert!(why.contains(reason), "{bucket}: {why}");
        }
    }
}
