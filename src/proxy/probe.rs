//! What the proxy needs of its stores, tried.

use super::Proxy;
use crate::origin::StoreError;
use crate::origin::probe::Capabilities;
use crate::support::error_chain::chain;

impl Proxy {
    /// Tries what is needed of the originals' store; nothing is written.
    ///
    /// # Errors
    /// It cannot be reached or read at all.
    pub async fn probe_originals(&self) -> Result<Capabilities, StoreError> {
        self.originals.probe_reading().await
    }

    /// Tries what is needed of the variants' store, below `resized-probe/`.
    ///
    /// # Errors
    /// It cannot be reached or written at all.
    pub async fn probe_variants(&self) -> Result<Capabilities, StoreError> {
        self.variants.probe_writing().await
    }

    /// How many of `writers` that write one variant at the same time are told that theirs is stored.
    ///
    /// # Errors
    /// A write failed.
    pub async fn race(&self, writers: usize) -> Result<usize, StoreError> {
        self.variants.race(writers).await
    }

    /// Logs what the stores can do, with what to fix.
    pub async fn log_probes(&self) {
        for (store, findings) in
            [("originals", self.probe_originals().await), ("variants", self.probe_variants().await)]
        {
            match findings {
                Ok(findings) => {
                    tracing::info!(store, %findings, "store probed");
                    for advice in findings.advice() {
                        tracing::warn!(store, advice = advice.text, "the store lacks something");
                    }
                }
                Err(error) => tracing::error!(store, error = chain(&error), "the store could not be probed"),
            }
        }
    }
}
