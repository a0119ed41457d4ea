//! Memory budgets, which limit the memory of work in progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit of bytes in use, with a bounded first-in, first-out queue of waiters.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    free: Arc<Semaphore>,
    bytes_max: u64,
    waiting: AtomicUsize,
    waiting_max: usize,
    max_wait: Duration,
}

/// The right to use a number of bytes; dropping it returns them to the budget.
#[derive(Debug)]
pub(super) struct MemoryPermit {
    _permit: OwnedSemaphorePermit,
}

/// Why a budget gave no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BudgetError {
    /// The request exceeds the whole budget.
    TooLarge { bytes_max: u64 },
    /// The queue is full, or the wait was too long.
    Overloaded,
}

/// Bytes per semaphore permit. A permit stands for several bytes, because permits are counted in `u32` and a budget may
/// exceed 4 GiB.
const UNIT_BYTES: u64 = 4096;

impl MemoryBudget {
    /// A budget of `bytes_max`, for which at most `waiting_max` requests wait, each at most `max_wait`.
    pub(super) fn new(bytes_max: u64, waiting_max: usize, max_wait: Duration) -> Self {
        let units = usize::try_from(bytes_max / UNIT_BYTES).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(units)), bytes_max, waiting: AtomicUsize::new(0), waiting_max, max_wait }
    }

    /// A permit for `bytes`, immediately or after a wait.
    pub(super) async fn acquire(&self, bytes: u64) -> Result<MemoryPermit, BudgetError> {
        let units = self.units(bytes)?;
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(units) {
            return Ok(MemoryPermit { _permit: permit });
        }
        let _waiting = self.enqueue().ok_or(BudgetError::Overloaded)?;
        let acquired = tokio::time::timeout(self.max_wait, self.free.clone().acquire_many_owned(units)).await;
        let permit = acquired.map_err(|_| BudgetError::Overloaded)?.map_err(|_| BudgetError::Overloaded)?;
        Ok(MemoryPermit { _permit: permit })
    }

    /// A permit for `bytes`, if the budget has them free.
    pub(super) fn try_acquire(&self, bytes: u64) -> Result<MemoryPermit, BudgetError> {
        let units = self.units(bytes)?;
        let permit = self.free.clone().try_acquire_many_owned(units).map_err(|_| BudgetError::Overloaded)?;
        Ok(MemoryPermit { _permit: permit })
    }

    /// The largest permit that the budget can give.
    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max / UNIT_BYTES * UNIT_BYTES
    }

    /// Bytes in use.
    pub(super) fn used_bytes(&self) -> u64 {
        let free = (self.free.available_permits() as u64).saturating_mul(UNIT_BYTES);
        self.bytes_max().saturating_sub(free)
    }

    /// Number of waiting requests.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    fn units(&self, bytes: u64) -> Result<u32, BudgetError> {
        let too_large = BudgetError::TooLarge { bytes_max: self.bytes_max };
        if bytes > self.bytes_max() {
            return Err(too_large);
        }
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_err(|_| too_large)
    }

    fn enqueue(&self) -> Option<QueueEntry<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let entry = QueueEntry(&self.waiting);
        (before < self.waiting_max).then_some(entry)
    }
}

/// Counts one waiting request. Dropping the guard ends the count, also when the wait is canceled.
struct QueueEntry<'a>(&'a AtomicUsize);

impl Drop for QueueEntry<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(waiting_max: usize, max_wait: Duration) -> MemoryBudget {
        MemoryBudget::new(10 * UNIT_BYTES, waiting_max, max_wait)
    }

    #[tokio::test]
    async fn a_request_over_the_whole_budget_fails_immediately() {
        let budget = budget(10, Duration::from_secs(60));
        let error = budget.acquire(11 * UNIT_BYTES).await.unwrap_err();
        assert_eq!(error, BudgetError::TooLarge { bytes_max: 10 * UNIT_BYTES });
        assert!(budget.acquire(u64::MAX).await.is_err());
    }

    #[tokio::test]
    async fn a_returned_permit_goes_to_the_waiter() {
        let budget = budget(1, Duration::from_secs(60));
        let first = budget.acquire(6 * UNIT_BYTES).await.unwrap();
        assert_eq!(budget.try_acquire(5 * UNIT_BYTES).unwrap_err(), BudgetError::Overloaded);
        let hand_over = async {
            while budget.waiting() == 0 {
                tokio::task::yield_now().await;
            }
            drop(first);
        };
        let (second, ()) = tokio::join!(budget.acquire(5 * UNIT_BYTES), hand_over);
        assert!(second.is_ok());
        assert_eq!(budget.waiting(), 0);
    }

    #[tokio::test]
    async fn a_waiter_over_the_limit_fails_immediately() {
        let budget = budget(0, Duration::from_secs(60));
        let _all = budget.acquire(10 * UNIT_BYTES).await.unwrap();
        assert_eq!(budget.acquire(1).await.unwrap_err(), BudgetError::Overloaded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_times_out() {
        let budget = budget(10, Duration::from_secs(10));
        let _all = budget.acquire(10 * UNIT_BYTES).await.unwrap();
        let start = tokio::time::Instant::now();
        assert_eq!(budget.acquire(1).await.unwrap_err(), BudgetError::Overloaded);
        assert_eq!(start.elapsed().as_secs(), 10);
    }
}
