//! Metrics of the memory account.

use std::sync::Arc;

use crate::config::MemoryPlan;
use crate::observability::metrics::{Gauge, Metrics, resident_bytes};
use crate::support::memory::{MemoryAccount, MemoryShare};

/// Registers the bytes in use and the limit of each share, and the memory that the account does not explain.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub(super) fn register(account: &MemoryAccount, plan: &MemoryPlan, metrics: &Metrics) {
    let used = |share: MemoryShare| {
        let budget = Arc::downgrade(account.budget(share));
        let read = move || budget.upgrade().map_or(0, |budget| budget.used_bytes()) as f64;
        Gauge::new(read).with_label("share", share.as_str())
    };
    metrics.register_gauge("memory_bytes", "Memory in use by each share", MemoryShare::ALL.map(used).into());
    let limit = |share: MemoryShare| {
        let bytes = plan.bytes(share) as f64;
        Gauge::new(move || bytes).with_label("share", share.as_str())
    };
    metrics.register_gauge("memory_limit_bytes", "Size of each share", MemoryShare::ALL.map(limit).into());
    let budgets = MemoryShare::ALL.map(|share| Arc::downgrade(account.budget(share)));
    let unaccounted = move || {
        let used = budgets.iter().filter_map(|budget| Some(budget.upgrade()?.used_bytes())).sum::<u64>();
        resident_bytes().map_or(0.0, |resident| resident as f64 - used as f64)
    };
    let help = "Resident memory of the server and its decoder processes minus the memory in use by all shares";
    metrics.register_gauge("memory_unaccounted_bytes", help, vec![Gauge::new(unaccounted)]);
}
