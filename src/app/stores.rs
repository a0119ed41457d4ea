//! The stores of originals and variants.

use crate::app::BuildError;
use crate::config::{Config, StoreAddress};
use crate::observability::metrics::{Gauge, Metrics};
use crate::origin::Store;
use crate::support::error_chain::chain;

/// The store of the originals and the store of the variants.
#[derive(Debug, Clone)]
pub struct Stores {
    pub originals: Store,
    pub variants: Store,
}

impl Stores {
    /// Opens both stores. This sends no requests. The folder of variants is created if it is missing. The folder of
    /// originals is created only if uploads fill it: otherwise it is missing because its address is wrong, or because its
    /// file system is not mounted.
    ///
    /// # Errors
    /// Names the key of a store that cannot be opened.
    pub async fn open(config: &Config, metrics: &Metrics) -> Result<Self, BuildError> {
        let (originals, variants) = (&config.originals, &config.variants);
        let open = async |key, address: &StoreAddress, public_url: &str| {
            let store = Store::open(address, public_url, &config.s3, &metrics.s3).await;
            store.map_err(|source| BuildError::Store { key, source })
        };
        if config.upload.enabled {
            create("originals.store", &originals.store)?;
        }
        create("variants.store", &variants.store)?;
        Ok(Self {
            originals: open("originals.store", &originals.store, &originals.public_url).await?,
            variants: open("variants.store", &variants.store, &variants.public_url).await?,
        })
    }

    /// Opens the store of the outbox: `notify.outbox`, or else the variants store.
    ///
    /// # Errors
    /// The store cannot be opened.
    pub(super) async fn open_outbox(&self, config: &Config, metrics: &Metrics) -> Result<Store, BuildError> {
        let Some(address) = &config.notify.outbox else { return Ok(self.variants.clone()) };
        create("notify.outbox", address)?;
        let store = Store::open(address, "", &config.s3, &metrics.s3).await;
        store.map_err(|source| BuildError::Store { key: "notify.outbox", source })
    }

    /// Logs the capabilities of both stores, and advice on missing ones.
    pub async fn log_capabilities(&self) {
        let probes =
            [("originals", self.originals.probe_reading().await), ("variants", self.variants.probe_writing().await)];
        for (store, capabilities) in probes {
            match capabilities {
                Ok(capabilities) => {
                    tracing::info!(store, %capabilities, "store probed");
                    for advice in capabilities.advice() {
                        tracing::warn!(store, advice = advice.text, "store lacks a capability");
                    }
                }
                Err(error) => {
                    tracing::error!(store, error = chain(&error), advice = error.advice(), "store could not be probed");
                }
            }
        }
    }

    pub(super) fn register_gauges(&self, metrics: &Metrics) {
        let open = [("originals", &self.originals), ("variants", &self.variants)].map(|(name, store)| {
            let store = store.clone();
            Gauge::new(move || f64::from(u8::from(store.is_circuit_open()))).with_label("store", name)
        });
        metrics.register_gauge("s3_circuit_open", "1 while the circuit breaker of a store is open", open.into());
    }
}

fn create(key: &'static str, address: &StoreAddress) -> Result<(), BuildError> {
    Store::create_folder(address).map_err(|source| BuildError::Store { key, source })
}
