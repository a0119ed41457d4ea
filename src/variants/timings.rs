//! Duration of each step of a flight.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::observability::traces;

/// Names and durations of steps, in order; the response shows them as `Server-Timing`.
#[derive(Debug, Clone, Default)]
pub struct Timings(Vec<(&'static str, Duration)>);

impl Timings {
    /// Awaits `step` and records its duration, here and as a child of the current span.
    pub(super) async fn time<T>(&mut self, name: &'static str, step: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = traces::in_span(name, step).await;
        self.record(name, start.elapsed());
        result
    }

    /// Records a step that took `time`.
    pub(super) fn record(&mut self, name: &'static str, time: Duration) {
        self.0.push((name, time));
    }

    /// Moves the steps of `other` to the end of `self`.
    pub(super) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// The steps in the order in which they were recorded.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        self.0.iter().copied()
    }
}
