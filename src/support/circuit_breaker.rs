//! A circuit breaker: requests to a dependency that keeps failing are refused at once instead of being sent.
//!
//! A number of consecutive failures opens the breaker. While it is open, every request is refused. After a pause it is
//! half open and allows one request. If that request succeeds the breaker closes, otherwise it stays open for another
//! pause.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub struct CircuitBreaker {
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Requests are allowed. The last `failures` requests have failed.
    Closed { failures: u32 },
    /// Requests are refused until the time `until`.
    Open { until: Instant },
    /// One request is running to find out whether the dependency has recovered.
    HalfOpen,
}

/// A change of state that is worth a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Opened,
    Closed,
}

/// Permission to send one request. Dropping it without recording a result counts neither as success nor as failure.
#[derive(Debug)]
#[must_use]
pub struct RequestPermit<'a> {
    breaker: &'a CircuitBreaker,
    is_trial: bool,
    is_recorded: bool,
}

impl CircuitBreaker {
    #[must_use]
    pub fn new(failures_max: u32, pause: Duration) -> Self {
        Self { failures_max, pause, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    /// Returns true while requests are refused or only a trial request is allowed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Closed { .. })
    }

    /// Permission to send a request; `None` while the breaker is open.
    pub fn try_acquire(&self) -> Option<RequestPermit<'_>> {
        let mut state = self.state();
        let is_trial = match *state {
            State::Closed { .. } => false,
            State::Open { until } if Instant::now() >= until => {
                *state = State::HalfOpen;
                true
            }
            State::Open { .. } | State::HalfOpen => return None,
        };
        Some(RequestPermit { breaker: self, is_trial, is_recorded: false })
    }

    /// The state is consistent whenever the lock is released, so a poisoned lock is usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestPermit<'_> {
    /// Records that the dependency answered. Only the trial request closes a breaker that is open.
    pub fn record_success(mut self) -> Option<Transition> {
        self.is_recorded = true;
        let mut state = self.breaker.state();
        let was_closed = matches!(*state, State::Closed { .. });
        if was_closed || self.is_trial {
            *state = State::Closed { failures: 0 };
        }
        (!was_closed && self.is_trial).then_some(Transition::Closed)
    }

    /// Records that the dependency asked for a pause. No request is allowed before it ends, and then one.
    pub fn record_pause(mut self, pause: Duration) -> Option<Transition> {
        self.is_recorded = true;
        let mut state = self.breaker.state();
        let until = Instant::now() + pause;
        let (until, transition) = match *state {
            State::Closed { .. } => (until, Some(Transition::Opened)),
            State::HalfOpen => (until, None),
            State::Open { until: before } => (until.max(before), None),
        };
        *state = State::Open { until };
        transition
    }

    /// Records that the dependency did not answer, or answered that it cannot serve requests.
    pub fn record_failure(mut self) -> Option<Transition> {
        self.is_recorded = true;
        let mut state = self.breaker.state();
        let open = State::Open { until: Instant::now() + self.breaker.pause };
        match *state {
            State::Closed { failures } if failures + 1 < self.breaker.failures_max => {
                *state = State::Closed { failures: failures + 1 };
                None
            }
            State::Closed { .. } => {
                *state = open;
                Some(Transition::Opened)
            }
            State::HalfOpen if self.is_trial => {
                *state = open;
                None
            }
            // The request was sent before the breaker opened.
            State::HalfOpen | State::Open { .. } => None,
        }
    }
}

impl Drop for RequestPermit<'_> {
    /// If a trial request was canceled, the next request becomes the trial request.
    fn drop(&mut self) {
        if self.is_trial && !self.is_recorded {
            let mut state = self.breaker.state();
            if matches!(*state, State::HalfOpen) {
                *state = State::Open { until: Instant::now() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acquire(breaker: &CircuitBreaker) -> RequestPermit<'_> {
        breaker.try_acquire().unwrap()
    }

    #[test]
    fn consecutive_failures_open_it_and_a_success_resets_the_count() {
        let breaker = CircuitBreaker::new(3, Duration::from_secs(600));
        for _ in 0..5 {
            assert_eq!(acquire(&breaker).record_failure(), None);
            assert_eq!(acquire(&breaker).record_failure(), None);
            assert_eq!(acquire(&breaker).record_success(), None);
        }
        assert!(!breaker.is_open());
        let transitions = [(); 3].map(|()| acquire(&breaker).record_failure());
        assert_eq!(transitions, [None, None, Some(Transition::Opened)]);
        assert!(breaker.try_acquire().is_none());
        assert!(breaker.is_open());
    }

    #[test]
    fn a_requested_pause_ends_with_one_trial_request() {
        let breaker = CircuitBreaker::new(3, Duration::from_secs(600));
        let (first, second, third) = (acquire(&breaker), acquire(&breaker), acquire(&breaker));
        let pause = Duration::from_millis(30);
        assert_eq!(first.record_pause(pause), Some(Transition::Opened));
        let start = Instant::now();
        assert_eq!(second.record_success(), None, "an older request does not end the pause");
        assert_eq!(third.record_pause(Duration::ZERO), None, "a shorter pause does not end it either");
        assert!(breaker.try_acquire().is_none());
        let trial = loop {
            match breaker.try_acquire() {
                Some(trial) => break trial,
                None => assert!(start.elapsed() < 1000 * pause, "the pause does not end"),
            }
        };
        assert!(breaker.try_acquire().is_none(), "one trial request");
        assert_eq!(trial.record_success(), Some(Transition::Closed));
        let (_first, _second) = (acquire(&breaker), acquire(&breaker));
    }

    #[test]
    fn after_the_pause_one_trial_request_is_allowed_at_a_time() {
        let breaker = CircuitBreaker::new(1, Duration::ZERO);
        assert_eq!(acquire(&breaker).record_failure(), Some(Transition::Opened));
        let trial = acquire(&breaker);
        assert!(breaker.try_acquire().is_none(), "one at a time");
        assert_eq!(trial.record_failure(), None);
        drop(acquire(&breaker));
        let trial = breaker.try_acquire().expect("a canceled trial is followed by another one");
        assert_eq!(trial.record_success(), Some(Transition::Closed));
        let (_first, _second) = (acquire(&breaker), acquire(&breaker));
    }
}
