//! The readiness of the stores.

use crate::origin::Store;
use crate::support::error_chain::chain;
use crate::variant::ObjectKey;

/// Checks that both stores respond.
///
/// # Errors
/// Names a store that does not respond. The cause is logged.
pub(super) async fn check(originals: Store, variants: Store) -> Result<(), String> {
    // No object with this key is expected to exist. A store that responds 404 is ready too.
    let key = ObjectKey::new("resized-ready").map_err(|error| error.to_string())?;
    let head = async |name: &'static str, store: &Store| match store.head(&key).await {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(name, error = chain(&error), "object store does not respond");
            Err(format!("{name}: the store does not respond"))
        }
    };
    tokio::try_join!(head("originals.store", &originals), head("variants.store", &variants))?;
    Ok(())
}
