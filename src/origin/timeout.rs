//! Time limits of store operations.

use std::time::Duration;

use super::error::StoreError;

/// Runs `work` for at most `limit`.
pub(super) async fn with_timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout(limit, work).await.map_err(|elapsed| StoreError::Timeout { source: elapsed.into() })
}
