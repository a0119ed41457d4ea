//! The parts from which [`super::Variants`] is built.

use std::sync::Arc;

use super::rendition::PrebuildHeaders;
use crate::config::{Config, Tuning};
use crate::observability::metrics::Metrics;
use crate::origin::Store;
use crate::resize::Resizer;
use crate::support::memory::MemoryAccount;
use crate::support::tasks::Tasks;

/// Parts of [`super::Variants`].
#[derive(Debug)]
pub struct VariantsParts<'a> {
    pub config: &'a Config,
    pub tuning: &'a Tuning,
    pub originals: Store,
    pub variants: Store,
    pub resizer: Arc<Resizer>,
    pub headers: Arc<dyn PrebuildHeaders>,
    /// Flights and write-backs run on these tasks.
    pub tasks: Tasks,
    pub metrics: &'a Metrics,
    pub memory: MemoryAccount,
    /// Limit of cached variants.
    pub cache_bytes: u64,
}
