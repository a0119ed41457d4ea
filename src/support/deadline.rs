//! One time limit for several waits in a row.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// A time limit that the steps of a task share. Only [`Deadline::restart`] extends it.
#[derive(Debug)]
pub struct Deadline {
    limit: Duration,
    ends: Mutex<Instant>,
}

impl Deadline {
    /// A deadline `limit` from now.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self { limit, ends: Mutex::new(Instant::now() + limit) }
    }

    /// Starts the whole time again, after progress that takes as long as it takes, such as the transfer of a body.
    pub fn restart(&self) {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now() + self.limit;
    }

    /// Runs one step.
    ///
    /// # Errors
    /// The deadline has passed; the step is canceled.
    pub async fn run<T>(&self, step: impl Future<Output = T>) -> Result<T, Elapsed> {
        tokio::time::timeout_at(self.ends(), step).await
    }

    fn ends(&self) -> Instant {
        *self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn steps_share_the_time_and_only_progress_restarts_it() {
        let deadline = Deadline::new(Duration::from_secs(10));
        let step = |seconds| tokio::time::sleep(Duration::from_secs(seconds));
        assert!(deadline.run(step(6)).await.is_ok());
        assert!(deadline.run(step(6)).await.is_err(), "12 s in total");
        assert!(deadline.run(step(1)).await.is_err(), "the deadline has passed");
        deadline.restart();
        assert!(deadline.run(step(9)).await.is_ok());
        assert!(deadline.run(step(2)).await.is_err());
    }
}
