//! Memory for the bodies of uploads while they are sent to the bucket.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::multipart::PART_BYTES_MIN;
use crate::origin::error::StoreError;
use crate::support::deadline::Deadline;

/// Two pools, so that small uploads never wait for the parts of large ones.
#[derive(Debug)]
pub(super) struct UploadBuffers {
    small: Pool,
    large: Pool,
}

#[derive(Debug)]
struct Pool {
    free: Semaphore,
    units: u32,
}

/// Memory for all bodies together.
pub(super) const UPLOAD_BYTES: u64 = 17 << 20;

/// Longest body of the first pool.
const SMALL_BYTES_MAX: u64 = 1 << 20;

/// Bytes per semaphore permit.
const UNIT_BYTES: u64 = 1024;

impl UploadBuffers {
    /// Divides `bytes`: large bodies get three fifths, and at least one part.
    pub(super) fn new(bytes: u64) -> Self {
        let large = (bytes * 3 / 5).max(PART_BYTES_MIN);
        Self { small: Pool::new(bytes.saturating_sub(large).max(SMALL_BYTES_MAX)), large: Pool::new(large) }
    }

    /// A permit for `bytes`. A body that is longer than its pool takes the whole pool: parts are that long only if the
    /// object has more than 50 GB.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if the memory is not free before the deadline.
    pub(super) async fn acquire(&self, bytes: u64, deadline: &Deadline) -> Result<SemaphorePermit<'_>, StoreError> {
        let pool = if bytes <= SMALL_BYTES_MAX { &self.small } else { &self.large };
        let permit = deadline.run(pool.free.acquire_many(units(bytes).min(pool.units))).await;
        permit.map_err(|_| StoreError::Busy)?.map_err(|_| StoreError::Busy)
    }
}

impl Pool {
    fn new(bytes: u64) -> Self {
        let units = units(bytes);
        Self { free: Semaphore::new(units as usize), units }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn small_bodies_do_not_wait_for_large_ones_and_both_are_bounded() {
        let (buffers, deadline) = (UploadBuffers::new(20 << 20), Deadline::new(Duration::from_secs(25)));
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(buffers.acquire(PART_BYTES_MIN, &deadline).await.unwrap());
        }
        for _ in 0..80 {
            held.push(buffers.acquire(100 << 10, &deadline).await.unwrap());
        }
        for bytes in [PART_BYTES_MIN, 500 << 10, 1 << 40] {
            let refused = buffers.acquire(bytes, &Deadline::new(Duration::from_secs(25))).await;
            assert!(matches!(refused, Err(StoreError::Busy)), "{bytes}");
        }
        drop(held);
        assert!(buffers.acquire(1 << 40, &Deadline::new(Duration::ZERO)).await.is_ok());
    }
}
