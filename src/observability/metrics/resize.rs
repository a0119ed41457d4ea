//! The way of pixels: how long jobs wait for memory and a thread, and how long they work.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wait {
    /// Memory for the original's bytes.
    Download,
    /// Memory for its pixels.
    Pixels,
    /// A resize thread.
    Thread,
}

impl Wait {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Pixels => "pixels",
            Self::Thread => "thread",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WaitLabels {
    r#for: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WorkLabels {
    stage: &'static str,
    format: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    reason: &'static str,
}

/// Waits and work of the resize jobs.
#[derive(Debug, Clone)]
pub struct Pixels {
    waits: Family<WaitLabels, Histogram, fn() -> Histogram>,
    work: Family<WorkLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
}

const BOUNDS_S: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn histogram() -> Histogram {
    Histogram::new(BOUNDS_S)
}

impl Pixels {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let constructor: fn() -> Histogram = histogram;
        let waits = Family::new_with_constructor(constructor);
        let work = Family::new_with_constructor(constructor);
        registry.register("wait_seconds", "Time that jobs waited for memory or a resize thread", waits.clone());
        registry.register("resize_seconds", "Time that jobs took on the resize threads", work.clone());
        let failures = Family::<FailureLabels, Counter>::default();
        registry.register("resize_failures", "Jobs that ended without a variant, by why", failures.clone());
        // Told from the start, so that its first rise is one.
        failures.get_or_create(&FailureLabels { reason: "panic" }).inc_by(0);
        Self { waits, work, failures }
    }

    /// Notes that a job waited.
    pub fn waited(&self, r#for: Wait, time: Duration) {
        self.waits.get_or_create(&WaitLabels { r#for: r#for.as_str() }).observe(time.as_secs_f64());
    }

    /// Notes that a job has ended without a variant.
    pub fn failed(&self, reason: &'static str) {
        self.failures.get_or_create(&FailureLabels { reason }).inc();
    }

    /// Notes that a `stage` of a job took `time`: `"render"` is the whole of it, other stages are parts of that. `format`
    /// is the variant's.
    pub fn worked(&self, stage: &'static str, format: &'static str, time: Duration) {
        self.work.get_or_create(&WorkLabels { stage, format }).observe(time.as_secs_f64());
    }
}

impl Default for Pixels {
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}
