//! Decides if requests wait for revalidations.
//!
//! A revalidation uses all stores of its mode: the originals' store and, for redirects, the variants' store. If one of them
//! does not answer in time, no request waits for `cache.failures`. Then requests wait again, until the first revalidation
//! is late.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Tuning;

/// The recent answers of the stores, and the limits of running revalidations.
#[derive(Debug)]
pub(in crate::variants) struct Patience {
    pub(super) revalidations_max: usize,
    pub(super) background_revalidations_max: usize,
    pause: Mutex<Option<Pause>>,
}

/// A time during which no request waits.
#[derive(Debug)]
struct Pause {
    began: Instant,
    time: Duration,
}

impl Patience {
    pub(in crate::variants) fn new(tuning: &Tuning) -> Self {
        let Tuning { revalidations_max, background_revalidations_max, .. } = *tuning;
        Self { revalidations_max, background_revalidations_max, pause: Mutex::default() }
    }

    pub(super) fn allows_waiting(&self) -> bool {
        self.pause().as_ref().is_none_or(|pause| pause.began.elapsed() >= pause.time)
    }

    /// Begins a pause of `time`, because a store did not answer.
    pub(super) fn pause_for(&self, time: Duration) {
        *self.pause() = Some(Pause { began: Instant::now(), time });
    }

    /// Ends the pause, because the stores answered in time to a check that began at `checked_at`. Answers to older
    /// checks say nothing about a store that failed since then.
    pub(super) fn resume(&self, checked_at: Instant) {
        self.pause().take_if(|pause| pause.began <= checked_at);
    }

    /// Ignores poisoning: the pause is consistent at every unlock.
    fn pause(&self) -> MutexGuard<'_, Option<Pause>> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_failure_pauses_waits_until_the_time_is_over() {
        let patience = Patience::new(&Tuning::default());
        assert!(patience.allows_waiting());
        patience.pause_for(PAUSE);
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert!(!patience.allows_waiting());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(patience.allows_waiting());
    }

    #[tokio::test(start_paused = true)]
    async fn only_an_answer_to_a_later_check_ends_the_pause() {
        let patience = Patience::new(&Tuning::default());
        let before = Instant::now();
        tokio::time::advance(Duration::from_millis(1)).await;
        patience.pause_for(PAUSE);
        patience.resume(before);
        assert!(!patience.allows_waiting());
        patience.resume(Instant::now());
        assert!(patience.allows_waiting());
    }
}
