//! A circuit breaker: a store that is gone is not asked again and again, and those who ask are told at once.
//!
//! So many failures in a row open it. Then every request fails at once until a pause is over; after it one request is let
//! through to see. If that succeeds the circuit closes, else it stays open for another pause.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::observability::metrics::Counter;

#[derive(Debug)]
pub(crate) struct Circuit {
    failures_max: u32,
    pause: Duration,
    state: Mutex<State>,
    openings: Counter,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Requests pass; so many in a row have failed.
    Closed { failures: u32 },
    /// None passes before this time.
    Open { until: Instant },
    /// One is under way to see.
    HalfOpen,
}

/// How a request ended, as far as the circuit is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The store answered, if only with a refusal.
    Answered,
    /// It did not, or said that it cannot.
    Failed,
}

/// The right to send one request.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    circuit: &'a Circuit,
    is_probe: bool,
    is_ended: bool,
}

impl Circuit {
    pub(crate) fn new(failures_max: u32, pause: Duration, openings: Counter) -> Self {
        Self { failures_max, pause, state: Mutex::new(State::Closed { failures: 0 }), openings }
    }

    /// Whether the store counts as gone.
    pub(crate) fn is_open(&self) -> bool {
        !matches!(*self.state(), State::Closed { .. })
    }

    /// `None` while the circuit is open.
    pub(crate) fn pass(&self) -> Option<Pass<'_>> {
        let mut state = self.state();
        let is_probe = match *state {
            State::Closed { .. } => false,
            State::Open { until } if Instant::now() >= until => {
                *state = State::HalfOpen;
                true
            }
            State::Open { .. } | State::HalfOpen => return None,
        };
        Some(Pass { circuit: self, is_probe, is_ended: false })
    }

    fn ended(&self, is_probe: bool, ending: Ending) {
        let mut state = self.state();
        let open = State::Open { until: Instant::now() + self.pause };
        *state = match (*state, ending) {
            (State::Closed { failures }, Ending::Failed) if failures + 1 < self.failures_max => {
                State::Closed { failures: failures + 1 }
            }
            (State::Closed { failures }, Ending::Failed) => {
                self.openings.inc();
                tracing::error!(failures = failures + 1, pause = ?self.pause, "the store is gone; requests fail at once");
                open
            }
            (State::Closed { .. }, Ending::Answered) => State::Closed { failures: 0 },
            (State::HalfOpen, Ending::Failed) if is_probe => open,
            (_, Ending::Answered) => {
                tracing::info!("the store answers again");
                State::Closed { failures: 0 }
            }
            // One that was sent before the circuit opened.
            (state @ (State::Open { .. } | State::HalfOpen), Ending::Failed) => state,
        };
    }

    /// Whole at every unlock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    pub(crate) fn ended(mut self, ending: Ending) {
        self.is_ended = true;
        self.circuit.ended(self.is_probe, ending);
    }
}

impl Drop for Pass<'_> {
    /// One who asks may give up before there is an answer: then the next one sees.
    fn drop(&mut self) {
        if self.is_probe && !self.is_ended {
            let mut state = self.circuit.state();
            if matches!(*state, State::HalfOpen) {
                *state = State::Open { until: Instant::now() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(circuit: &Circuit) {
        circuit.pass().unwrap().ended(Ending::Failed);
    }

    #[test]
    fn failures_in_a_row_open_it_and_an_answer_between_starts_the_count_anew() {
        let circuit = Circuit::new(3, Duration::from_secs(600), Counter::default());
        for _ in 0..5 {
            failed(&circuit);
            failed(&circuit);
            circuit.pass().unwrap().ended(Ending::Answered);
        }
        assert!(!circuit.is_open());
        (0..3).for_each(|_| failed(&circuit));
        assert!(circuit.pass().is_none());
        assert_eq!((circuit.is_open(), circuit.openings.get()), (true, 1));
    }

    #[test]
    fn after_the_pause_one_sees_and_the_others_still_fail() {
        let circuit = Circuit::new(1, Duration::ZERO, Counter::default());
        failed(&circuit);
        let probe = circuit.pass().unwrap();
        assert!(circuit.pass().is_none(), "one at a time");
        probe.ended(Ending::Failed);
        let probe = circuit.pass().unwrap();
        drop(probe);
        circuit.pass().expect("one who gave up leaves it to the next").ended(Ending::Answered);
        let (_one, _two) = (circuit.pass().unwrap(), circuit.pass().unwrap());
    }
}
