//! The variants' store: lookups, leases, writes and purges.

pub(super) mod invalidation_log;
pub(super) mod lease;
pub(super) mod lookup;
pub(super) mod purge;
pub(super) mod write_back;
