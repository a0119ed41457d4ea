//! CPU time limit of a render call. Rendering a file of a few bytes can take hours without it.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::Error;

/// A point on the CPU clock of the current thread. The clock stands still while the thread waits, so a busy machine
/// does not shorten the time that an image gets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    end: Duration,
    limit: Duration,
}

impl Deadline {
    /// A deadline that never passes.
    #[cfg(test)]
    pub(crate) const NEVER: Self = Self { end: Duration::MAX, limit: Duration::MAX };

    /// A deadline after `limit` of CPU time from now on.
    pub(crate) fn after(limit: Duration) -> Self {
        Self { end: cpu_time().saturating_add(limit), limit }
    }

    /// The same deadline, later by the time that this thread has used since `cpu_time` returned `start`.
    pub(crate) fn extended_since(self, start: Duration) -> Self {
        Self { end: self.end.saturating_add(cpu_time().saturating_sub(start)), ..self }
    }

    /// True if time is left.
    pub(crate) fn is_ahead(&self) -> bool {
        cpu_time() < self.end
    }

    /// Remaining CPU time.
    pub(crate) fn remaining(&self) -> Duration {
        self.end.saturating_sub(cpu_time())
    }

    /// # Errors
    /// No time is left.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.is_ahead() { Ok(()) } else { Err(self.error()) }
    }

    /// The error of a call that exceeds this deadline.
    pub(crate) fn error(&self) -> Error {
        Error::RenderTimeout { limit: self.limit }
    }
}

thread_local! {
    /// CPU time that other processes used on behalf of this thread.
    static EXTERNAL: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Adds the CPU time of another process that worked for this thread.
pub(crate) fn charge(time: Duration) {
    EXTERNAL.set(EXTERNAL.get().saturating_add(time));
}

/// CPU time of this thread and of the sandboxed processes that worked for it.
#[must_use]
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let own = Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0));
    own.saturating_add(EXTERNAL.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadline_passes_after_the_thread_has_used_its_cpu_time() {
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
