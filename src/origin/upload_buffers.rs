//! Memory for uploads: for bodies while they are received, and while they are sent to a bucket.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::StoreError;
use crate::config::{self, UPLOAD_PIECE_BYTES, UPLOAD_SMALL_BYTES_MAX};
use crate::support::deadline::Deadline;
use crate::support::memory::{BudgetError, MemoryBudget, MemoryPermit, UNIT_BYTES};

/// The memory of uploads. Bodies that are being sent share two pools, so that small ones never wait for the parts of large
/// ones. The rest of the memory is for bodies that are being received.
#[derive(Debug)]
pub struct UploadBuffers {
    memory: Arc<MemoryBudget>,
    small: Pool,
    large: Pool,
}

#[derive(Debug)]
struct Pool {
    free: Semaphore,
    units: u32,
}

/// Memory for a body that is being sent.
#[derive(Debug)]
pub(super) struct SendPermit<'a> {
    _memory: MemoryPermit,
    _pool: SemaphorePermit<'a>,
}

impl UploadBuffers {
    /// Divides `memory`. The pool of small bodies gets a fifth of the part that [`config::Upload::concurrency`] bodies leave
    /// while they are being received. The pool of large bodies has room for at least one part.
    #[must_use]
    pub fn new(memory: Arc<MemoryBudget>, upload: &config::Upload) -> Self {
        let sending = memory.bytes_max().saturating_sub(upload.receiving_bytes());
        let small = (sending / 5).min(sending.saturating_sub(upload.part_bytes())).max(UPLOAD_SMALL_BYTES_MAX);
        let large = sending.saturating_sub(small).max(upload.part_bytes());
        Self { memory, small: Pool::new(small), large: Pool::new(large) }
    }

    /// A permit for the buffer of a body that is being received, immediately or after a wait of at most `work.queue_time`.
    ///
    /// # Errors
    /// See [`BudgetError`].
    pub async fn receive(&self) -> Result<MemoryPermit, BudgetError> {
        self.memory.acquire(UPLOAD_PIECE_BYTES as u64).await
    }

    /// A permit for `bytes` of a body that is being sent.
    ///
    /// # Errors
    /// [`StoreError::UploadMemoryFull`] if the memory is not free before the deadline.
    pub(super) async fn send(&self, bytes: u64, deadline: &Deadline) -> Result<SendPermit<'_>, StoreError> {
        let pool = if bytes <= UPLOAD_SMALL_BYTES_MAX { &self.small } else { &self.large };
        let acquired = deadline.run(async {
            let pool = pool.free.acquire_many(units(bytes).min(pool.units)).await.ok()?;
            Some(SendPermit { _memory: self.memory.acquire(bytes).await.ok()?, _pool: pool })
        });
        acquired.await.ok().flatten().ok_or(StoreError::UploadMemoryFull)
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
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use bytesize::ByteSize;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn deadline() -> Deadline {
        Deadline::new(Duration::from_secs(25))
    }

    fn buffers(upload: &config::Upload, bytes: u64) -> UploadBuffers {
        UploadBuffers::new(Arc::new(MemoryBudget::new(bytes, 1000, Duration::from_secs(25))), upload)
    }

    /// Settings of 16 uploads at the same time, which need 1 MiB while they are received.
    fn upload() -> config::Upload {
        config::Upload { concurrency: NonZeroUsize::new(16).unwrap(), ..config::Upload::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn small_bodies_do_not_wait_for_large_ones_and_all_are_bounded() {
        let (buffers, deadline) = (buffers(&upload(), 14 * MIB), deadline());
        let mut sent = Vec::new();
        for _ in 0..2 {
            sent.push(buffers.send(5 * MIB, &deadline).await.unwrap());
        }
        for _ in 0..26 {
            sent.push(buffers.send(100 << 10, &deadline).await.unwrap());
        }
        for bytes in [5 * MIB, 500 << 10] {
            let refused = buffers.send(bytes, &Deadline::new(Duration::from_secs(25))).await;
            assert!(matches!(refused, Err(StoreError::UploadMemoryFull)), "{bytes}");
        }
        let mut received = Vec::new();
        for _ in 0..16 {
            received.push(buffers.receive().await.unwrap());
        }
        assert!(buffers.memory.used_bytes() <= buffers.memory.bytes_max());
        drop((sent, received));
        assert_eq!(buffers.memory.used_bytes(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_smallest_memory_has_room_for_each_kind_of_body_while_all_uploads_are_received() {
        let huge = config::Upload { bytes: ByteSize::tib(1), ..upload() };
        for upload in [upload(), huge] {
            let buffers = buffers(&upload, upload.memory_min());
            let mut held = Vec::new();
            for _ in 0..upload.concurrency.get() {
                held.push(buffers.receive().await.unwrap());
            }
            let small = buffers.send(UPLOAD_SMALL_BYTES_MAX, &deadline()).await.unwrap();
            let large = buffers.send(upload.part_bytes(), &deadline()).await.unwrap();
            assert!(buffers.receive().await.is_err());
            drop((small, large));
        }
    }
}
