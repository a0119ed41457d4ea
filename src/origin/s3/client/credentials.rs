//! The credentials of AWS's default chain (environment, profile, container, instance), kept until they are about to expire.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::Mutex;

use crate::origin::error::{BoxError, StoreError};
use crate::support::error_chain::chain;

#[derive(Debug)]
pub(super) struct CachedCredentials {
    provider: SharedCredentialsProvider,
    cached: RwLock<Option<Credentials>>,
    /// Held while credentials are loaded, so that concurrent requests load them once.
    loading: Mutex<()>,
}

/// Credentials are replaced this long before they expire.
const EXPIRY_MARGIN: Duration = Duration::from_secs(10);

/// Time limit of the whole chain.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

impl CachedCredentials {
    pub(super) fn new(provider: SharedCredentialsProvider) -> Self {
        Self { provider, cached: RwLock::new(None), loading: Mutex::new(()) }
    }

    /// # Errors
    /// The chain has no credentials, or did not answer in time.
    pub(super) async fn get(&self) -> Result<Credentials, StoreError> {
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let _alone = self.loading.lock().await;
        if let Some(credentials) = self.fresh() {
            return Ok(credentials);
        }
        let loaded = tokio::time::timeout(LOAD_TIMEOUT, self.provider.provide_credentials()).await;
        let failed = |source: BoxError| StoreError::Unavailable { source };
        let credentials = loaded
            .map_err(|_| failed("no AWS credentials within 5 s".into()))?
            .map_err(|error| failed(format!("no AWS credentials: {}", chain(&error)).into()))?;
        *self.cached.write().unwrap_or_else(PoisonError::into_inner) = Some(credentials.clone());
        Ok(credentials)
    }

    fn fresh(&self) -> Option<Credentials> {
        let cached = self.cached.read().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |expiry: SystemTime| expiry > SystemTime::now() + EXPIRY_MARGIN;
        cached.clone().filter(|credentials| credentials.expiry().is_none_or(is_fresh))
    }
}
