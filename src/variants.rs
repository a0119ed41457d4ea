//! Getting or making one variant.

pub(crate) mod batch;
pub(crate) mod batch_run;
pub(crate) mod invalidation_log;
pub(crate) mod lease;
pub(crate) mod lookup;
pub(crate) mod make;
pub(crate) mod memory_budget;
pub(crate) mod preview;
pub(crate) mod rate_limit;
pub(crate) mod rendition;
pub(crate) mod resources;
pub(crate) mod write_back;
