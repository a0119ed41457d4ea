//! A circuit breaker: requests to a dependency that keeps failing are refused at once instead of being sent.
//!
//! A number of consecutive failures opens the breaker. A request that is not answered in time counts as a failure before
//! its result is known, but such requests open the breaker only if nothing was answered for [`HANG_TIME_MIN`]: a
//! dependency that is only slow answers within that time. While the breaker is open, every request is refused. After a
//! pause it is half open and allows one request. If that request succeeds the breaker closes, otherwise it stays open for
//! another pause.

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
    /// Requests are allowed. The last `failures` requests have failed, the first of them at `since`.
    Closed { failures: u32, since: Instant },
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
    /// True once a result was recorded, or that there was none in time.
    is_recorded: bool,
}

/// Minimum time without any answer after which unanswered requests open a breaker.
pub const HANG_TIME_MIN: Duration = Duration::from_secs(2);

impl CircuitBreaker {
    #[must_use]
    pub fn new(failures_max: u32, pause: Duration) -> Self {
        Self { failures_max, pause, state: Mutex::new(State::closed()) }
    }

    /// Returns true while requests are refused or only a trial request is allowed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Closed { .. })
    }

    /// True if a request would be refused now.
    #[must_use]
    pub fn refuses(&self) -> bool {
        match *self.state() {
            State::Closed { .. } => false,
            State::Open { until } => Instant::now() < until,
            State::HalfOpen => true,
        }
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

    fn opened(&self) -> State {
        State::Open { until: Instant::now() + self.pause }
    }

    /// The state is consistent whenever the lock is released, so a poisoned lock is usable.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn closed() -> Self {
        Self::Closed { failures: 0, since: Instant::now() }
    }
}

impl RequestPermit<'_> {
    /// Records that the dependency answered. Only the trial request closes a breaker that is open.
    pub fn record_success(mut self) -> Option<Transition> {
        self.is_recorded = true;
        let mut state = self.breaker.state();
        let was_closed = matches!(*state, State::Closed { .. });
        if was_closed || self.is_trial {
            *state = State::closed();
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
        self.fail(Duration::ZERO)
    }

    /// Records that the dependency has not answered in time, but still may. The first call counts a failure. A later call
    /// opens the breaker if there has been no answer since.
    pub fn record_unanswered(&mut self) -> Option<Transition> {
        self.fail(HANG_TIME_MIN)
    }

    /// Counts a failure, unless this request counts already. Opens the breaker if the failures have lasted for `min_time`.
    fn fail(&mut self, min_time: Duration) -> Option<Transition> {
        let is_counted = std::mem::replace(&mut self.is_recorded, true);
        let mut state = self.breaker.state();
        match *state {
            State::Closed { failures, since } => {
                let since = if failures == 0 { Instant::now() } else { since };
                let failures = failures.saturating_add(u32::from(!is_counted));
                let opens = failures >= self.breaker.failures_max && since.elapsed() >= min_time;
                *state = if opens { self.breaker.opened() } else { State::Closed { failures, since } };
                opens.then_some(Transition::Opened)
            }
            State::HalfOpen if self.is_trial && !is_counted => {
                *state = self.breaker.opened();
                None
            }
            // The request was sent before the breaker opened, or is a trial that was not answered in time.
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

    fn hanging(failures: u32) -> CircuitBreaker {
        let breaker = CircuitBreaker::new(failures, Duration::from_secs(600));
        let since = Instant::now().checked_sub(HANG_TIME_MIN).unwrap();
        *breaker.state() = State::Closed { failures: 1, since };
        breaker
    }

    #[test]
    fn unanswered_requests_open_it_once_nothing_was_answered_for_a_while() {
        let breaker = CircuitBreaker::new(3, Duration::from_secs(600));
        let mut permits = [(); 5].map(|()| acquire(&breaker));
        assert_eq!(permits.each_mut().map(RequestPermit::record_unanswered), [None; 5], "the dependency may be slow");
        assert_eq!(acquire(&breaker).record_success(), None);
        let breaker = hanging(3);
        let mut permits = [(); 3].map(|()| acquire(&breaker));
        let transitions = permits.each_mut().map(RequestPermit::record_unanswered);
        assert_eq!(transitions, [None, Some(Transition::Opened), None]);
    }

    #[test]
    fn one_unanswered_request_counts_once() {
        let breaker = hanging(3);
        let mut permit = acquire(&breaker);
        assert_eq!([(); 5].map(|()| permit.record_unanswered()), [None; 5]);
        assert_eq!(permit.record_failure(), None);
        assert_eq!(acquire(&breaker).record_failure(), Some(Transition::Opened));
    }

    #[test]
    fn an_unanswered_trial_request_begins_another_pause_and_its_late_answer_closes_it() {
        let breaker = CircuitBreaker::new(1, Duration::ZERO);
        assert_eq!(acquire(&breaker).record_failure(), Some(Transition::Opened));
        let mut trial = acquire(&breaker);
        assert!(breaker.try_acquire().is_none());
        assert_eq!(trial.record_unanswered(), None);
        let next = breaker.try_acquire().expect("the next trial does not wait for the first one");
        assert_eq!(trial.record_success(), Some(Transition::Closed));
        drop(next);
        assert!(!breaker.is_open());
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
        assert!(!breaker.refuses());
        let trial = acquire(&breaker);
        assert!(breaker.refuses() && breaker.try_acquire().is_none(), "one at a time");
        assert_eq!(trial.record_failure(), None);
        drop(acquire(&breaker));
        let trial = breaker.try_acquire().expect("a canceled trial is followed by another one");
        assert_eq!(trial.record_success(), Some(Transition::Closed));
        let (_first, _second) = (acquire(&breaker), acquire(&breaker));
    }
}
