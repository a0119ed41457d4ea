//! Rate limits: `[rates]`.

use serde::{Deserialize, Serialize};

/// Limits per minute; 0 means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Variants of one original that are not stored yet.
    pub variants_per_original: u32,
    /// Variants that are not stored yet, requested by one client.
    pub variants_per_client: u32,
    /// All requests of one client.
    pub requests_per_client: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { variants_per_original: 600, variants_per_client: 0, requests_per_client: 0 }
    }
}
