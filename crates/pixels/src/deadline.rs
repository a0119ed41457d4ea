//! How much processor time one picture may take: a file of a few bytes can ask for hours.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::RenderError;

/// A time of this thread's own clock, which runs while the thread does; what else the machine is busy with costs a picture
/// nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    end: Duration,
    limit: Duration,
}

impl Deadline {
    /// `limit` of work from now on.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { end: worked().saturating_add(limit), limit }
    }

    /// Whether there is time left.
    pub(crate) fn is_ahead(&self) -> bool {
        worked() < self.end
    }

    /// What is left.
    #[cfg(feature = "avif-originals")]
    pub(crate) fn left(&self) -> Duration {
        self.end.saturating_sub(worked())
    }

    /// # Errors
    /// There is no time left.
    pub(crate) fn check(&self) -> Result<(), RenderError> {
        if self.is_ahead() { Ok(()) } else { Err(self.error()) }
    }

    pub(crate) fn error(&self) -> RenderError {
        RenderError::TooSlow { limit: self.limit }
    }
}

thread_local! {
    /// What processes have worked for this thread, which has waited for them.
    static ELSEWHERE: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Counts as this thread's what a process has worked for it.
#[cfg(feature = "avif-originals")]
pub(crate) fn charge(time: Duration) {
    ELSEWHERE.set(ELSEWHERE.get().saturating_add(time));
}

/// The processor time of this thread, and of those that it has waited for.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let own = Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0));
    own.saturating_add(ELSEWHERE.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_over_when_the_thread_has_worked_that_long() {
        assert!(Deadline::after(Duration::MAX).check().is_ok());
        let deadline = Deadline::after(Duration::from_millis(2));
        let mut n = 0_u64;
        while deadline.is_ahead() {
            n = std::hint::black_box(n + 1);
        }
        assert!(n > 0);
        assert!(deadline.check().unwrap_err().to_string().contains("limits.render_time"));
    }
}
