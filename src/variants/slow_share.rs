//! The part of a memory budget that jobs of the slow lane may use together: half of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Half of a budget. A job that needs more takes all of it, so that it runs alone.
#[derive(Debug)]
pub(super) struct SlowShare {
    free: Arc<Semaphore>,
    units: u32,
}

/// The right to use a part of the share; dropping it returns that part.
pub(super) type SlowPermit = OwnedSemaphorePermit;

/// Bytes per unit of the semaphore.
const UNIT_BYTES: u64 = 4096;

impl SlowShare {
    /// The half of a budget of `budget_bytes`.
    pub(super) fn new(budget_bytes: u64) -> Self {
        let units = u32::try_from(budget_bytes / 2 / UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// A permit, if the share has it free.
    pub(super) fn try_acquire(&self, bytes: u64) -> Option<SlowPermit> {
        self.free.clone().try_acquire_many_owned(self.units_of(bytes)).ok()
    }

    /// A permit, when the share has it free. `None` only if the semaphore were closed, which it never is.
    pub(super) async fn acquire(&self, bytes: u64) -> Option<SlowPermit> {
        self.free.clone().acquire_many_owned(self.units_of(bytes)).await.ok()
    }

    fn units_of(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_jobs_share_half_of_the_budget_and_a_larger_one_runs_alone() {
        let share = SlowShare::new(20 * UNIT_BYTES);
        let first = share.try_acquire(6 * UNIT_BYTES).unwrap();
        assert!(share.try_acquire(5 * UNIT_BYTES).is_none());
        let second = share.try_acquire(4 * UNIT_BYTES).unwrap();
        drop((first, second));
        let _large = share.acquire(1000 * UNIT_BYTES).await.unwrap();
        assert!(share.try_acquire(1).is_none());
    }
}
