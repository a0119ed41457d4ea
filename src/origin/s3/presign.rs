//! Presigned URLs: each permits a client to write one object.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;

use super::S3Store;
use super::client::endpoint_url;
use super::sdk_error::store_error;
use crate::origin::error::StoreError;
use crate::variant::ObjectKey;

/// Makes presigned URLs (Signature Version 4 in the query), without a request to the store.
#[derive(Clone)]
pub struct Presigner {
    store: Arc<S3Store>,
    client: Client,
}

impl Presigner {
    pub(in crate::origin) fn new(store: Arc<S3Store>, endpoint: &str) -> Self {
        let client = match endpoint {
            "" => store.client.clone(),
            // The signature covers the host, so the URL must contain the host that clients use.
            endpoint => {
                Client::from_conf(store.client.config().to_builder().endpoint_url(endpoint_url(endpoint)).build())
            }
        };
        Self { store, client }
    }

    /// A URL that permits a PUT of exactly `bytes` bytes of `content_type` for `time` from now.
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
        let time = PresigningConfig::expires_in(time).map_err(|error| StoreError::Other { source: error.into() })?;
        let bytes = i64::try_from(bytes).map_err(|error| StoreError::Other { source: error.into() })?;
        let request = self.client.put_object().bucket(&self.store.bucket).key(self.store.key(key));
        let request = request.content_type(content_type).content_length(bytes);
        Ok(request.presigned(time).await.map_err(store_error)?.uri().to_owned())
    }
}

impl fmt::Debug for Presigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presigner").field("bucket", &self.store.bucket).finish_non_exhaustive()
    }
}
