//! Resources that survive a reload: threads, memory budgets, queues and the work in them.

use std::sync::{Arc, Weak};

use super::batch::Batches;
use super::memory::VariantMemory;
use super::parts::VariantsParts;
use super::rate_limit::RateLimits;
use super::rendition::cached::CachedVariant;
use super::revalidation::patience::Patience;
use super::slow_share::SlowShare;
use super::store::invalidation_log::InvalidationLog;
use super::store::lease::Leases;
use super::store::write_back::{WriteBack, WriteBackParts};
use crate::cache::Cache;
use crate::config;
use crate::observability::metrics::{Gauge, Metrics, ResizeMetrics};
use crate::resize::{Lane, Resizer};
use crate::support::memory::{MemoryAccount, MemoryBudget, MemoryShare};
use crate::support::tasks::Tasks;
use crate::variant::Variant;

/// Threads, budgets and queues. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct SharedResources {
    pub(super) resizer: Arc<Resizer>,
    pub(super) memory: MemoryAccount,
    pub(super) slow_lane: Arc<SlowLane>,
    pub(super) variant_memory: VariantMemory,
    pub(super) batches: Arc<Batches>,
    pub(super) leases: Option<Leases>,
    pub(super) write_back: WriteBack,
    pub(super) invalidations: Arc<InvalidationLog>,
    pub(super) rate_limits: Arc<RateLimits>,
    pub(super) patience: Arc<Patience>,
    pub(super) tasks: Tasks,
    pub(super) resize_metrics: ResizeMetrics,
}

/// Memory that jobs of the slow lane may use.
#[derive(Debug)]
pub(super) struct SlowLane {
    /// Originals that wait for the lane.
    pub(super) downloads: SlowShare,
    /// Pixels of jobs that run.
    pub(super) pixels: SlowShare,
}

impl SharedResources {
    pub(super) fn new(parts: &VariantsParts<'_>, cache: Cache<Variant, CachedVariant>) -> Self {
        let VariantsParts { config, tuning, metrics, memory, .. } = parts;
        let (store, tasks) = (parts.variants.clone(), parts.tasks.clone());
        let invalidations = Arc::<InvalidationLog>::default();
        let resources = Self {
            resizer: parts.resizer.clone(),
            memory: memory.clone(),
            slow_lane: Arc::new(SlowLane {
                downloads: SlowShare::new(memory.budget(MemoryShare::Downloads).bytes_max()),
                pixels: SlowShare::new(memory.budget(MemoryShare::Pixels).bytes_max()),
            }),
            variant_memory: VariantMemory::new(memory, cache),
            batches: Arc::default(),
            leases: Leases::new(&config.fleet, store.clone(), tasks.clone(), metrics.leases.clone()),
            write_back: WriteBack::new(WriteBackParts {
                store,
                invalidations: invalidations.clone(),
                queue: memory.budget(MemoryShare::WriteBack).clone(),
                tasks: tasks.clone(),
                metrics: metrics.write_backs.clone(),
            }),
            invalidations,
            rate_limits: Arc::new(RateLimits::new(config.rates.clone())),
            patience: Arc::new(Patience::new(tuning)),
            tasks,
            resize_metrics: metrics.resize.clone(),
        };
        resources.register_gauges(metrics);
        resources
    }

    /// The same resources with the rate limits of `rates`. Unchanged limits keep their counters.
    pub(super) fn with_rates(mut self, rates: &config::Rates) -> Self {
        if !self.rate_limits.is_same_config(rates) {
            self.rate_limits = Arc::new(RateLimits::new(rates.clone()));
        }
        self
    }

    fn register_gauges(&self, metrics: &Metrics) {
        let memory = |share| {
            let budget = Arc::downgrade(self.memory.budget(share));
            gauge(budget, |budget: &MemoryBudget| budget.waiting() as u64)
        };
        let waiting = vec![
            gauge(Arc::downgrade(&self.batches), |batches| batches.waiting() as u64).with_label("for", "original"),
            memory(MemoryShare::Downloads).with_label("for", "download"),
            memory(MemoryShare::Pixels).with_label("for", "pixels"),
            memory(MemoryShare::Variants).with_label("for", "variants"),
            gauge(Arc::downgrade(&self.resizer), |resizer| resizer.waiting(Lane::Fast) as u64)
                .with_label("for", "fast_lane"),
            gauge(Arc::downgrade(&self.resizer), |resizer| resizer.waiting(Lane::Slow) as u64)
                .with_label("for", "slow_lane"),
        ];
        metrics.register_gauge("waiting", "Jobs that wait for memory or a resize thread", waiting);
        let running = vec![
            gauge(Arc::downgrade(&self.resizer), |resizer| resizer.running(Lane::Fast) as u64)
                .with_label("lane", "fast"),
            gauge(Arc::downgrade(&self.resizer), |resizer| resizer.running(Lane::Slow) as u64)
                .with_label("lane", "slow"),
            gauge(Arc::downgrade(&self.resizer), |resizer| resizer.running(Lane::Idle) as u64)
                .with_label("lane", "idle"),
        ];
        metrics.register_gauge("resize_running", "Resize jobs that run", running);
    }
}

/// A gauge of a resource that the metrics must not keep alive.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn gauge<T: Send + Sync + 'static>(resource: Weak<T>, read: fn(&T) -> u64) -> Gauge {
    Gauge::new(move || resource.upgrade().map_or(0, |resource| read(&resource)) as f64)
}
