//! What makers share, one after the other: threads, budgets, queues and what is under way in them.

use std::sync::{Arc, Weak};

use super::batch::Batches;
use super::invalidation_log::Purges;
use super::lease::Leases;
use super::memory_budget::Budget;
use super::rate_limit::Rates;
use super::write_back::WriteBack;
use crate::config::{self, Config, Tuning};
use crate::observability::metrics::{Gauge, Metrics, ResizeMetrics};
use crate::origin::Store;
use crate::proxy::OpenError;
use crate::resize::Resizer;
use crate::support::tasks::Tasks;

/// Threads, budgets and queues. Clones are the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Works {
    pub(crate) write_back: WriteBack,
    pub(crate) resizer: Arc<Resizer>,
    pub(crate) times: ResizeMetrics,
    pub(crate) downloads: Arc<Budget>,
    pub(crate) pixels: Arc<Budget>,
    pub(crate) batches: Arc<Batches>,
    pub(crate) leases: Option<Leases>,
    pub(crate) rates: Arc<Rates>,
}

impl Works {
    /// Starts the threads.
    pub(crate) fn start(
        config: &Config,
        tuning: &Tuning,
        variants: &Store,
        tasks: &Tasks,
        purges: &Arc<Purges>,
        metrics: &Metrics,
    ) -> Result<Self, OpenError> {
        let work = &config.work;
        let budget = |bytes: u64| Arc::new(Budget::new(bytes, tuning.queue_length.get(), work.queue_time));
        let resizer = Resizer::start(work.threads, tuning.queue_length, metrics.resize.clone());
        Ok(Self {
            leases: Leases::new(&config.fleet, variants.clone(), tasks.clone(), metrics.leases.clone()),
            write_back: WriteBack::new(
                variants.clone(),
                purges.clone(),
                work.write_back_memory.as_u64(),
                tasks.clone(),
                metrics.write_backs.clone(),
            ),
            resizer: Arc::new(resizer.map_err(OpenError::Threads)?),
            times: metrics.resize.clone(),
            downloads: budget(work.download_memory.as_u64()),
            pixels: budget(work.pixel_memory.as_u64()),
            batches: Arc::default(),
            rates: Arc::new(Rates::new(config.rates.clone())),
        })
    }

    /// The same with these rates. Where they are the same ones, what has been counted goes on.
    pub(crate) fn limited_to(mut self, rates: &config::Rates) -> Self {
        if !self.rates.are(rates) {
            self.rates = Arc::new(Rates::new(rates.clone()));
        }
        self
    }

    /// Has queues and budgets shown among the numbers.
    pub(crate) fn watch(&self, metrics: &Metrics) {
        let waiting = vec![
            reading(Arc::downgrade(&self.batches), |batches| batches.waiting() as u64).with_label("for", "original"),
            reading(Arc::downgrade(&self.downloads), |budget| budget.waiting() as u64).with_label("for", "download"),
            reading(Arc::downgrade(&self.pixels), |budget| budget.waiting() as u64).with_label("for", "pixels"),
            reading(Arc::downgrade(&self.resizer), |resizer| resizer.waiting() as u64).with_label("for", "thread"),
        ];
        metrics.register_gauge("waiting", "Jobs that wait for memory or a resize thread", waiting);
        let bytes = vec![
            reading(Arc::downgrade(&self.downloads), Budget::used_bytes).with_label("for", "download"),
            reading(Arc::downgrade(&self.pixels), Budget::used_bytes).with_label("for", "pixels"),
            reading(self.write_back.queue(), Budget::used_bytes).with_label("for", "write_back"),
        ];
        metrics.register_gauge("work_bytes", "Memory that work in progress has tickets for", bytes);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn reading<T: Send + Sync + 'static>(of: Weak<T>, read: fn(&T) -> u64) -> Gauge {
    Gauge::new(move || of.upgrade().map_or(0, |of| read(&of)) as f64)
}
