//! Adapts the estimates of CPU time to this machine: the moving average of the ratio of measured to estimated time.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::Duration;

/// The logarithm to base 2 of the ratio, in fixed point with 16 fractional bits.
#[derive(Debug, Default)]
pub(super) struct Calibration(AtomicI64);

const ONE: f64 = 65_536.0;

/// Largest logarithm of the ratio: a machine is at most four times faster or slower than that of the estimates.
const LOG_MAX: f64 = 2.0;

/// Largest logarithm that a single job contributes, so that a few odd originals do not shift the average.
const JOB_LOG_MAX: f64 = 1.0;

/// Weight of the newest job.
const WEIGHT: f64 = 1.0 / 32.0;

/// Shorter jobs say nothing, because most of their time is not estimated.
const JOB_MIN: Duration = Duration::from_millis(5);

impl Calibration {
    /// The estimate for this machine.
    pub(super) fn apply(&self, estimate: Duration) -> Duration {
        Duration::try_from_secs_f64(estimate.as_secs_f64() * self.log().exp2()).unwrap_or(Duration::MAX)
    }

    /// Records a job. `estimate` is the result of [`Self::apply`].
    pub(super) fn record(&self, estimate: Duration, measured: Duration) {
        if estimate < JOB_MIN || measured < JOB_MIN {
            return;
        }
        let log = self.log();
        let error = (measured.as_secs_f64() / estimate.as_secs_f64()).log2().clamp(-JOB_LOG_MAX, JOB_LOG_MAX);
        let next = (log + WEIGHT * error).clamp(-LOG_MAX, LOG_MAX);
        // An update that another thread overwrites is lost, which an average tolerates.
        #[expect(clippy::cast_possible_truncation, reason = "a small number")]
        self.0.store((next * ONE) as i64, Relaxed);
    }

    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    fn log(&self) -> f64 {
        self.0.load(Relaxed) as f64 / ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// The estimate of a second after `jobs` jobs that took `factor` times the uncalibrated estimate.
    fn after(jobs: usize, factor: f64) -> f64 {
        let calibration = Calibration::default();
        for _ in 0..jobs {
            calibration.record(calibration.apply(SECOND), SECOND.mul_f64(factor));
        }
        calibration.apply(SECOND).as_secs_f64()
    }

    #[test]
    fn estimates_approach_the_measured_times_within_bounds() {
        assert_eq!(after(0, 1.0), 1.0);
        assert!((1.9..=2.1).contains(&after(300, 2.0)));
        assert!((0.45..=0.55).contains(&after(300, 0.5)));
        assert!((3.9..=4.0).contains(&after(1000, 100.0)), "{}", after(1000, 100.0));
        assert!(after(1, 1000.0) < 1.03, "one job moves the estimates by at most 3 %");
    }

    #[test]
    fn short_jobs_are_ignored() {
        let calibration = Calibration::default();
        calibration.record(Duration::from_millis(1), SECOND);
        calibration.record(SECOND, Duration::from_millis(1));
        assert_eq!(calibration.apply(SECOND), SECOND);
    }
}
