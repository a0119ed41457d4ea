//! The queue of variants that are made later. It is bounded, holds each variant once, and is not persisted.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::make::LateOutcome;
use crate::cache::Cache;
use crate::observability::metrics::{Gauge, LateMetrics};
use crate::resize::{Lane, Resizer};
use crate::support::tasks::Tasks;
use crate::variant::{ObjectKey, Variant};
use crate::variants::make::VariantMaker;
use crate::variants::parts::VariantsParts;
use crate::variants::rendition::Delivery;
use crate::variants::rendition::cached::CachedVariant;

/// A variant to make, and the variant that its clients get meanwhile.
#[derive(Debug, Clone)]
pub(in crate::variants) struct LateJob {
    pub(super) variant: Variant,
    pub(super) interim: Variant,
    /// Bytes of the interim variant, and the ETag of its original, if they are known.
    pub(super) interim_bytes: Option<(u64, Box<str>)>,
    /// The client that asked first. The CPU time is charged to it.
    pub(super) client: IpAddr,
}

/// The queue and its workers. Clones share them.
#[derive(Debug, Clone)]
pub(in crate::variants) struct LateVariants(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    cache: Cache<Variant, CachedVariant>,
    resizer: Arc<Resizer>,
    tasks: Tasks,
    metrics: LateMetrics,
    waiting_max: usize,
    abandoned: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<Variant, Waiting, RandomState>,
    /// Variants that are being made, and those that failed and are not tried again before this time. There are at most as many
    /// as may wait.
    settled: HashMap<Variant, Settled, RandomState>,
    /// Number of jobs so far.
    count: u64,
    workers: usize,
}

#[derive(Debug)]
struct Waiting {
    job: LateJob,
    maker: Arc<VariantMaker>,
    requests: u64,
    /// Earlier jobs have smaller numbers.
    number: u64,
}

#[derive(Debug, Clone, Copy)]
enum Settled {
    Running,
    FailedUntil(Instant),
}

impl LateJob {
    pub(super) fn new(variant: &Variant, (interim, delivery): (&Variant, &Delivery), client: IpAddr) -> Self {
        let interim_bytes = delivery.bytes().map(|bytes| (bytes, delivery.original_etag().into()));
        Self { variant: variant.clone(), interim: interim.clone(), interim_bytes, client }
    }
}

impl LateVariants {
    /// An empty queue. Registers its gauge.
    pub(in crate::variants) fn new(parts: &VariantsParts<'_>, cache: Cache<Variant, CachedVariant>) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            cache,
            resizer: parts.resizer.clone(),
            tasks: parts.tasks.clone(),
            metrics: parts.metrics.resize.late.clone(),
            waiting_max: parts.tuning.late_variants_max,
            abandoned: CancellationToken::new(),
        });
        let weak = Arc::downgrade(&shared);
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
        let waiting = move || weak.upgrade().map_or(0, |shared| shared.lock().waiting.len()) as f64;
        let help = "Variants that wait to be made later (formats.avif_later)";
        parts.metrics.register_gauge("late_waiting", help, vec![Gauge::new(waiting)]);
        Self(shared)
    }

    /// Adds a variant, or counts a further request for it. `maker` makes it.
    pub(super) fn offer(&self, job: LateJob, maker: &Arc<VariantMaker>) {
        let shared = &self.0;
        if shared.abandoned.is_cancelled() {
            return;
        }
        let mut state = shared.lock();
        if let Some(waiting) = state.waiting.get_mut(&job.variant) {
            waiting.requests += 1;
            return;
        }
        match state.settled.get(&job.variant) {
            Some(Settled::Running) => return,
            Some(Settled::FailedUntil(time)) if Instant::now() < *time => return,
            Some(Settled::FailedUntil(_)) | None => {}
        }
        if state.waiting.len() >= shared.waiting_max {
            shared.metrics.dropped.inc();
            return;
        }
        state.settled.remove(&job.variant);
        state.count += 1;
        let number = state.count;
        state.waiting.insert(job.variant.clone(), Waiting { job, maker: maker.clone(), requests: 1, number });
        if state.workers < shared.resizer.threads(Lane::Idle) {
            state.workers += 1;
            let (shared, abandoned) = (shared.clone(), shared.abandoned.clone());
            self.0.tasks.spawn_unawaited(async move {
                abandoned.run_until_cancelled(shared.work()).await;
            });
        }
    }

    /// Removes the waiting variants of an original. One that is being made is not stored after a purge.
    pub(in crate::variants) fn forget(&self, original: &ObjectKey) {
        let mut state = self.0.lock();
        state.waiting.retain(|variant, _| variant.original != *original);
        state.settled.retain(|variant, settled| match settled {
            Settled::Running => true,
            Settled::FailedUntil(_) => variant.original != *original,
        });
    }

    /// Ends all work. Later variants are not accepted.
    pub(in crate::variants) fn abandon(&self) {
        self.0.abandoned.cancel();
        self.0.lock().waiting.clear();
    }
}

impl Shared {
    /// Makes waiting variants until there is none.
    async fn work(self: Arc<Self>) {
        let guard = WorkerGuard(&self);
        loop {
            self.resizer.until_idle().await;
            let Some(Waiting { job, maker, .. }) = self.take_or_leave() else {
                // The worker is no longer counted.
                std::mem::forget(guard);
                return;
            };
            let mut running = RunningGuard { shared: &self, variant: &job.variant, failed_until: None };
            let outcome = maker.make_late(&job).await;
            running.failed_until = outcome.retry_after().and_then(|time| Instant::now().checked_add(time));
            self.record(&outcome);
            if outcome.is_stored() {
                // Memory holds that it is not stored.
                self.cache.invalidate(&job.variant);
            }
        }
    }

    /// The variant that was requested most often, and of several the one that waits longest. If there is none, the calling worker
    /// is no longer counted from the same step on, so that a variant that is offered next starts another one.
    fn take_or_leave(&self) -> Option<Waiting> {
        let mut state = self.lock();
        let next = state.waiting.iter().max_by_key(|(_, waiting)| (waiting.requests, Reverse(waiting.number)));
        let Some(next) = next.map(|(variant, _)| variant.clone()) else {
            state.workers -= 1;
            return None;
        };
        state.settled.insert(next.clone(), Settled::Running);
        state.waiting.remove(&next)
    }

    fn record(&self, outcome: &LateOutcome) {
        let metrics = &self.metrics;
        match outcome {
            LateOutcome::Made { saved_bytes, cpu_time } => {
                metrics.made.inc();
                metrics.saved_bytes.inc_by(*saved_bytes);
                metrics.cpu_seconds.inc_by(cpu_time.as_secs_f64());
            }
            LateOutcome::NotSmaller { cpu_time } => {
                metrics.not_smaller.inc();
                metrics.cpu_seconds.inc_by(cpu_time.as_secs_f64());
            }
            LateOutcome::AlreadyStored => {
                metrics.already_stored.inc();
            }
            LateOutcome::Purged => {
                metrics.dropped.inc();
            }
            LateOutcome::Limited(_) => {
                metrics.limited.inc();
            }
            LateOutcome::Failed(_) => {
                metrics.failed.inc();
            }
        }
    }

    /// Ignores poisoning: the state is consistent at every unlock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fail(&mut self, variant: Variant, until: Instant, failed_max: usize) {
        if self.settled.len() >= failed_max {
            let now = Instant::now();
            self.settled.retain(|_, settled| match settled {
                Settled::Running => true,
                Settled::FailedUntil(time) => now < *time,
            });
        }
        if self.settled.len() < failed_max {
            self.settled.insert(variant, Settled::FailedUntil(until));
        }
    }
}

/// Counts a worker until it ends, even by a panic.
struct WorkerGuard<'a>(&'a Shared);

impl Drop for WorkerGuard<'_> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
    }
}

/// Marks a variant as running until its job ends, even by a panic.
struct RunningGuard<'a> {
    shared: &'a Shared,
    variant: &'a Variant,
    failed_until: Option<Instant>,
}

impl Drop for RunningGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.settled.remove(self.variant);
        if let Some(until) = self.failed_until {
            state.fail(self.variant.clone(), until, self.shared.waiting_max);
        }
    }
}
