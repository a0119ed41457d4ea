//! URLs that let a client without credentials upload one object.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::S3Store;
use super::request::S3Request;
use crate::origin::error::StoreError;
use crate::variant::ObjectKey;

/// Signs upload URLs, without sending requests.
#[derive(Debug, Clone)]
pub struct Presigner {
    store: Arc<S3Store>,
    /// The server that clients reach; empty if it is the one that the store uses.
    endpoint: Arc<str>,
}

impl Presigner {
    pub(in crate::origin) fn new(store: Arc<S3Store>, endpoint: &str) -> Self {
        Self { store, endpoint: endpoint.into() }
    }

    /// A URL that accepts a PUT of exactly `bytes` of `content_type` for `time` from now on; the store refuses other requests.
    ///
    /// # Errors
    /// There are no credentials.
    pub async fn put(
        &self,
        key: &ObjectKey,
        content_type: &str,
        bytes: u64,
        time: Duration,
    ) -> Result<String, StoreError> {
        let (client, object) = (self.store.client()?, self.store.object(key));
        // The host is part of the signature.
        let url = match &*self.endpoint {
            "" => client.object_url(&object),
            endpoint => client.object_url_at(endpoint, &object)?,
        };
        let request = S3Request::new(Method::PUT, url);
        let request = request.with_header(CONTENT_TYPE, content_type)?;
        client.presign(&request.with_header(CONTENT_LENGTH, &bytes.to_string())?, time).await
    }
}
