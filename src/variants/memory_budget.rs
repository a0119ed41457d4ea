//! Memory for work in progress: a ticket for so many bytes, or a refusal.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that may be in use at once, and how many may wait how long for theirs. First come, first served.
#[derive(Debug)]
pub(crate) struct Budget {
    free: Arc<Semaphore>,
    bytes_max: u64,
    waiting: AtomicUsize,
    waiting_max: usize,
    patience: Duration,
}

/// The right to use bytes; given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    _permit: OwnedSemaphorePermit,
}

/// Why there is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// More than the whole budget: waiting would not help.
    TooLarge { bytes_max: u64 },
    /// Too many are waiting, or the wait was too long.
    Overloaded,
}

/// What the semaphore counts: its permits are `u32`, and a budget may be larger than 4 GiB.
const UNIT_BYTES: u64 = 4096;

impl Budget {
    pub(crate) fn new(bytes_max: u64, waiting_max: usize, patience: Duration) -> Self {
        let units = usize::try_from(bytes_max / UNIT_BYTES).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(units)), bytes_max, waiting: AtomicUsize::new(0), waiting_max, patience }
    }

    /// A ticket for `bytes`, at once or after a wait.
    pub(crate) async fn ticket(&self, bytes: u64) -> Result<Ticket, Refusal> {
        let units = self.units(bytes)?;
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(units) {
            return Ok(Ticket { _permit: permit });
        }
        let _waiting = self.wait().ok_or(Refusal::Overloaded)?;
        let acquired = tokio::time::timeout(self.patience, self.free.clone().acquire_many_owned(units)).await;
        let permit = acquired.map_err(|_| Refusal::Overloaded)?.map_err(|_| Refusal::Overloaded)?;
        Ok(Ticket { _permit: permit })
    }

    /// A ticket for `bytes` if there is one now.
    pub(crate) fn ticket_now(&self, bytes: u64) -> Result<Ticket, Refusal> {
        let units = self.units(bytes)?;
        let permit = self.free.clone().try_acquire_many_owned(units).map_err(|_| Refusal::Overloaded)?;
        Ok(Ticket { _permit: permit })
    }

    /// The most that one ticket can be for.
    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max / UNIT_BYTES * UNIT_BYTES
    }

    /// Bytes in use now.
    pub(crate) fn used_bytes(&self) -> u64 {
        let free = (self.free.available_permits() as u64).saturating_mul(UNIT_BYTES);
        self.bytes_max().saturating_sub(free)
    }

    /// How many wait now.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn units(&self, bytes: u64) -> Result<u32, Refusal> {
        let too_large = Refusal::TooLarge { bytes_max: self.bytes_max };
        if bytes > self.bytes_max() {
            return Err(too_large);
        }
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_err(|_| too_large)
    }

    fn wait(&self) -> Option<Waiting<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        (before < self.waiting_max).then_some(waiting)
    }
}

/// Counts one who waits, until dropped: a cancelled wait is counted out too.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(waiting_max: usize, patience: Duration) -> Budget {
        Budget::new(10 * UNIT_BYTES, waiting_max, patience)
    }

    #[tokio::test]
    async fn more_than_the_whole_budget_is_refused_at_once() {
        let budget = budget(10, Duration::from_secs(60));
        let refusal = budget.ticket(11 * UNIT_BYTES).await.unwrap_err();
        assert_eq!(refusal, Refusal::TooLarge { bytes_max: 10 * UNIT_BYTES });
        assert!(budget.ticket(u64::MAX).await.is_err());
    }

    #[tokio::test]
    async fn a_ticket_given_back_goes_to_the_one_who_waits() {
        let budget = budget(1, Duration::from_secs(60));
        let first = budget.ticket(6 * UNIT_BYTES).await.unwrap();
        assert_eq!(budget.ticket_now(5 * UNIT_BYTES).unwrap_err(), Refusal::Overloaded);
        let hand_over = async {
            while budget.waiting.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            drop(first);
        };
        let (second, ()) = tokio::join!(budget.ticket(5 * UNIT_BYTES), hand_over);
        assert!(second.is_ok());
        assert_eq!(budget.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn one_too_many_who_waits_is_refused_at_once() {
        let budget = budget(0, Duration::from_secs(60));
        let _all = budget.ticket(10 * UNIT_BYTES).await.unwrap();
        assert_eq!(budget.ticket(1).await.unwrap_err(), Refusal::Overloaded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_after_its_time() {
        let budget = budget(10, Duration::from_secs(10));
        let _all = budget.ticket(10 * UNIT_BYTES).await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(budget.ticket(1).await.unwrap_err(), Refusal::Overloaded);
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
