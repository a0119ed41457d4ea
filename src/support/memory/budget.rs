//! Memory budgets, and the permits that they give.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A limit of bytes in use, with a bounded first-in, first-out queue of waiters.
#[derive(Debug)]
pub struct MemoryBudget {
    free: Arc<Semaphore>,
    bytes_max: u64,
    waiting: AtomicUsize,
    waiting_max: usize,
    max_wait: Duration,
}

/// The right to use a number of bytes; dropping it returns them to the budget.
#[derive(Debug)]
pub struct MemoryPermit {
    permit: OwnedSemaphorePermit,
}

/// Bytes with the permit for their memory.
struct ChargedBytes {
    bytes: Bytes,
    _permit: MemoryPermit,
}

/// Why a budget gave no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetError {
    /// The request exceeds the whole budget.
    TooLarge { bytes_max: u64 },
    /// The queue is full, or the wait was too long.
    Overloaded,
}

/// Bytes per semaphore permit. A permit stands for several bytes, because permits are counted in `u32` and a budget may
/// exceed 4 GiB.
pub const UNIT_BYTES: u64 = 1024;

impl MemoryBudget {
    /// A budget of `bytes_max` bytes, for which at most `waiting_max` requests wait, each at most `max_wait`.
    #[must_use]
    pub fn new(bytes_max: u64, waiting_max: usize, max_wait: Duration) -> Self {
        let units = usize::try_from(bytes_max / UNIT_BYTES).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(units)), bytes_max, waiting: AtomicUsize::new(0), waiting_max, max_wait }
    }

    /// A permit for `bytes`, immediately or after a wait.
    ///
    /// # Errors
    /// See [`BudgetError`].
    pub async fn acquire(&self, bytes: u64) -> Result<MemoryPermit, BudgetError> {
        let units = self.units(bytes)?;
        if let Ok(permit) = self.free.clone().try_acquire_many_owned(units) {
            return Ok(MemoryPermit { permit });
        }
        let _waiting = self.enqueue().ok_or(BudgetError::Overloaded)?;
        let acquired = tokio::time::timeout(self.max_wait, self.free.clone().acquire_many_owned(units)).await;
        let permit = acquired.map_err(|_| BudgetError::Overloaded)?.map_err(|_| BudgetError::Overloaded)?;
        Ok(MemoryPermit { permit })
    }

    /// A permit for `bytes`, if the budget has them free.
    ///
    /// # Errors
    /// See [`BudgetError`].
    pub fn try_acquire(&self, bytes: u64) -> Result<MemoryPermit, BudgetError> {
        let units = self.units(bytes)?;
        let permit = self.free.clone().try_acquire_many_owned(units).map_err(|_| BudgetError::Overloaded)?;
        Ok(MemoryPermit { permit })
    }

    /// The largest permit that the budget can give.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max / UNIT_BYTES * UNIT_BYTES
    }

    /// Bytes in use.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        let free = (self.free.available_permits() as u64).saturating_mul(UNIT_BYTES);
        self.bytes_max().saturating_sub(free)
    }

    /// Number of waiting requests.
    #[must_use]
    pub fn waiting(&self) -> usize {
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

impl MemoryPermit {
    /// Number of bytes, rounded up to the unit of the budget.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64 * UNIT_BYTES
    }

    /// Takes `bytes` out of this permit; `None` if it has fewer.
    pub fn split(&mut self, bytes: u64) -> Option<Self> {
        let units = usize::try_from(bytes.div_ceil(UNIT_BYTES)).ok()?;
        self.permit.split(units).map(|permit| Self { permit })
    }

    /// Adds `bytes` more, if the budget has them free.
    ///
    /// # Errors
    /// See [`BudgetError`]. The permit is unchanged then.
    pub fn try_grow(&mut self, bytes: u64) -> Result<(), BudgetError> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_err(|_| BudgetError::Overloaded)?;
        let more = self.permit.semaphore().clone().try_acquire_many_owned(units);
        self.permit.merge(more.map_err(|_| BudgetError::Overloaded)?);
        Ok(())
    }

    /// Returns all but `bytes` to the budget.
    pub fn shrink_to(&mut self, bytes: u64) {
        drop(self.split(self.bytes().saturating_sub(bytes) / UNIT_BYTES * UNIT_BYTES));
    }

    /// Ties the permit to `bytes`: it is returned when the last clone or slice of the result is dropped.
    #[must_use]
    pub fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(ChargedBytes { bytes, _permit: self })
    }
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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

    #[test]
    fn a_permit_can_be_split_grown_and_shrunk() {
        let budget = budget(0, Duration::ZERO);
        let mut permit = budget.try_acquire(4 * UNIT_BYTES).unwrap();
        let part = permit.split(UNIT_BYTES).unwrap();
        assert_eq!((permit.bytes(), part.bytes(), budget.used_bytes()), (3 * UNIT_BYTES, UNIT_BYTES, 4 * UNIT_BYTES));
        assert!(permit.split(4 * UNIT_BYTES).is_none());
        drop(part);
        permit.try_grow(7 * UNIT_BYTES).unwrap();
        assert_eq!(permit.try_grow(1).unwrap_err(), BudgetError::Overloaded);
        permit.shrink_to(UNIT_BYTES + 1);
        assert_eq!((permit.bytes(), budget.used_bytes()), (2 * UNIT_BYTES, 2 * UNIT_BYTES));
    }

    #[test]
    fn attached_bytes_stay_charged_until_the_last_slice_is_dropped() {
        let budget = budget(0, Duration::ZERO);
        let bytes = budget.try_acquire(2 * UNIT_BYTES).unwrap().attach(Bytes::from(vec![7; 1500]));
        let slice = bytes.slice(1400..1401);
        drop(bytes);
        assert_eq!((&slice[..], budget.used_bytes()), (&[7][..], 2 * UNIT_BYTES));
        drop(slice);
        assert_eq!(budget.used_bytes(), 0);
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
