//! How often one client may do something, or something be done to one original.

use serde::{Deserialize, Serialize};

/// In a minute; zero is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Variants that were not stored, of one original.
    pub variants_per_original: u32,
    /// The same for one client.
    pub variants_per_client: u32,
    /// Requests of any kind.
    pub requests_per_client: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { variants_per_original: 600, variants_per_client: 0, requests_per_client: 0 }
    }
}
