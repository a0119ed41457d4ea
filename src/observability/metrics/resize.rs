//! Resize jobs: time spent waiting for memory or a thread, time spent working, and failures.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::late::LateMetrics;
/// The resource that a job waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitKind {
    /// Memory for the bytes of the original.
    Download,
    /// Memory for the decoded pixels.
    Pixels,
    /// A resize thread of the fast lane.
    FastLane,
    /// A resize thread of the slow lane.
    SlowLane,
    /// A resize thread for variants that no client waits for.
    IdleLane,
}

impl WaitKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Pixels => "pixels",
            Self::FastLane => "fast_lane",
            Self::SlowLane => "slow_lane",
            Self::IdleLane => "idle_lane",
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabels {
    lane: &'static str,
}

type CpuSeconds = Family<LaneLabels, Counter<f64, AtomicU64>>;

/// Wait times, work times, CPU times and failures of resize jobs.
#[derive(Debug, Clone)]
pub struct ResizeMetrics {
    waits: Family<WaitLabels, Histogram, fn() -> Histogram>,
    work: Family<WorkLabels, Histogram, fn() -> Histogram>,
    failures: Family<FailureLabels, Counter>,
    estimated: CpuSeconds,
    measured: CpuSeconds,
    /// Variants that are made later (`formats.avif_later`).
    pub late: LateMetrics,
}

const BOUNDS_S: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

fn histogram() -> Histogram {
    Histogram::new(BOUNDS_S)
}

impl ResizeMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let constructor: fn() -> Histogram = histogram;
        let waits = Family::new_with_constructor(constructor);
        let work = Family::new_with_constructor(constructor);
        registry.register("wait_seconds", "Time that resize jobs waited for memory or a resize thread", waits.clone());
        registry.register("resize_seconds", "Time that resize jobs ran on a resize thread", work.clone());
        let failures = Family::<FailureLabels, Counter>::default();
        registry.register("resize_failures", "Resize jobs that failed, by reason", failures.clone());
        // Exported as 0 from the start, so that rate() sees the first panic.
        failures.get_or_create(&FailureLabels { reason: "panic" }).inc_by(0);
        let (estimated, measured) = (CpuSeconds::default(), CpuSeconds::default());
        // Exported as 0 from the start, like the failures.
        for lane in ["fast", "slow", "idle"] {
            estimated.get_or_create(&LaneLabels { lane }).inc_by(0.0);
            measured.get_or_create(&LaneLabels { lane }).inc_by(0.0);
        }
        let help = "Estimated CPU time of the resize jobs that ran";
        registry.register("resize_cpu_estimated_seconds", help, estimated.clone());
        let help = "CPU time of resize jobs, including sandboxed processes";
        registry.register("resize_cpu_seconds", help, measured.clone());
        Self { waits, work, failures, estimated, measured, late: LateMetrics::register(registry) }
    }

    /// Records how long a job waited for a resource.
    pub fn record_wait(&self, r#for: WaitKind, time: Duration) {
        self.waits.get_or_create(&WaitLabels { r#for: r#for.as_str() }).observe(time.as_secs_f64());
    }

    /// Records the CPU time of a job.
    pub fn record_job(&self, lane: &'static str, estimate: Duration, measured: Duration) {
        self.estimated.get_or_create(&LaneLabels { lane }).inc_by(estimate.as_secs_f64());
        self.measured.get_or_create(&LaneLabels { lane }).inc_by(measured.as_secs_f64());
    }

    /// Counts a job that failed.
    pub fn record_failure(&self, reason: &'static str) {
        self.failures.get_or_create(&FailureLabels { reason }).inc();
    }

    /// Records the duration of a stage of a job. The stage `"render"` is the whole job and contains the other stages.
    pub fn record_stage(&self, stage: &'static str, format: &'static str, time: Duration) {
        self.work.get_or_create(&WorkLabels { stage, format }).observe(time.as_secs_f64());
    }
}

impl Default for ResizeMetrics {
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}
