//! The shares of the memory account.

use std::sync::Arc;
use std::time::Duration;

use super::budget::MemoryBudget;

/// A part of the account, with a separate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MemoryShare {
    /// Variants in memory: cached ones, stored ones that are being read, and evicted ones until their last reader has
    /// ended.
    Variants,
    /// Originals that are being downloaded or wait for a resize thread.
    Downloads,
    /// Pixels, encoded variants until their flight takes them, and the decoder processes.
    Pixels,
    /// Variants that are being written to their store.
    WriteBack,
    /// Streamed response bodies, until the client has taken them.
    Bodies,
    /// Buffers of uploads.
    Uploads,
    /// Connections of clients without their bodies.
    Connections,
    /// Tables, headers of pictures and listings of stores.
    Metadata,
}

/// The account. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryAccount(Arc<[Arc<MemoryBudget>; MemoryShare::ALL.len()]>);

/// Limits of the queue of each share.
#[derive(Debug, Clone, Copy)]
pub struct QueueLimits {
    /// Maximum number of requests that wait for one share.
    pub waiting_max: usize,
    /// Maximum time of a wait.
    pub max_wait: Duration,
}

impl MemoryShare {
    pub const ALL: [Self; 8] = [
        Self::Variants,
        Self::Downloads,
        Self::Pixels,
        Self::WriteBack,
        Self::Bodies,
        Self::Uploads,
        Self::Connections,
        Self::Metadata,
    ];

    /// The content of the share, for messages.
    #[must_use]
    pub const fn content(self) -> &'static str {
        match self {
            Self::Variants => "variants",
            Self::Downloads => "originals",
            Self::Pixels => "pixels",
            Self::WriteBack => "write-backs",
            Self::Bodies => "response bodies",
            Self::Uploads => "uploads",
            Self::Connections => "connections",
            Self::Metadata => "metadata",
        }
    }

    /// Label in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Variants => "variants",
            Self::Downloads => "downloads",
            Self::Pixels => "pixels",
            Self::WriteBack => "write_back",
            Self::Bodies => "bodies",
            Self::Uploads => "uploads",
            Self::Connections => "connections",
            Self::Metadata => "metadata",
        }
    }
}

impl MemoryAccount {
    /// An account whose shares have the sizes that `bytes_of` returns.
    #[must_use]
    pub fn new(bytes_of: impl Fn(MemoryShare) -> u64, queue: QueueLimits) -> Self {
        let budget = |share| Arc::new(MemoryBudget::new(bytes_of(share), queue.waiting_max, queue.max_wait));
        Self(Arc::new(MemoryShare::ALL.map(budget)))
    }

    /// The budget of a share.
    #[must_use]
    pub fn budget(&self, share: MemoryShare) -> &Arc<MemoryBudget> {
        // The order of `ALL` is the order of the enum.
        &self.0[share as usize]
    }

    /// Bytes in use in all shares.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.0.iter().map(|budget| budget.used_bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_share_has_a_separate_limit() {
        let queue = QueueLimits { waiting_max: 0, max_wait: Duration::ZERO };
        let account = MemoryAccount::new(|share| (share as u64 + 1) << 20, queue);
        for (n, share) in MemoryShare::ALL.into_iter().enumerate() {
            assert_eq!(account.budget(share).bytes_max(), (n as u64 + 1) << 20, "{share:?}");
        }
        let pixels = account.budget(MemoryShare::Pixels).try_acquire(3 << 20).unwrap();
        let bodies = account.budget(MemoryShare::Bodies).try_acquire(5 << 20).unwrap();
        assert!(account.budget(MemoryShare::Pixels).try_acquire(1).is_err());
        assert_eq!(account.used_bytes(), 8 << 20);
        drop((pixels, bodies));
        assert_eq!(account.used_bytes(), 0);
    }
}
