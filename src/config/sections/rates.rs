//! Rate limits: `[rates]`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Limits per minute; 0 means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// CPU time for new variants of one original.
    #[serde(with = "humantime_serde")]
    pub cpu_per_original: Duration,
    /// CPU time for new variants that one client requests.
    #[serde(with = "humantime_serde")]
    pub cpu_per_client: Duration,
    /// All requests of one client.
    pub requests_per_client: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { cpu_per_original: Duration::from_secs(20), cpu_per_client: Duration::ZERO, requests_per_client: 0 }
    }
}
