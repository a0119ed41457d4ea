//! A value in memory, and the times at which it is revalidated.

use std::time::Duration;

use tokio::time::Instant;

use super::{CacheValue, Retention};

/// Times of the revalidation of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From this time on, a request starts a revalidation.
    pub revalidate_at: Instant,
    /// From this time on, the value is stale.
    pub stale_at: Instant,
}

/// A value from memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached<V> {
    pub value: V,
    pub age: Age,
}

/// Freshness of a value in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    Fresh,
    /// Fresh, but a revalidation is due.
    RefreshDue,
    /// Stale, and the last revalidation failed a short time ago.
    Stale,
    /// Stale, and a revalidation is due.
    RevalidationDue,
}

#[derive(Debug, Clone)]
pub(super) struct CacheEntry<V> {
    pub(super) value: V,
    /// `None` if the value never becomes stale.
    schedule: Option<Schedule>,
}

impl<V> CacheEntry<V> {
    /// `None` if the value is not kept.
    pub(super) fn new<K>(value: &V) -> Option<Self>
    where
        V: CacheValue<K>,
    {
        let schedule = match value.retention() {
            Retention::Revalidate(schedule) => Some(schedule),
            Retention::UntilEvicted | Retention::ExpireAfter(_) => None,
            Retention::Never => return None,
        };
        Some(Self { value: value.clone(), schedule })
    }

    /// Reads the clock only for values that can become stale.
    pub(super) fn age(&self) -> Age {
        let Some(Schedule { revalidate_at, stale_at }) = self.schedule else { return Age::Fresh };
        let now = Instant::now();
        match (now < stale_at, now < revalidate_at) {
            (true, true) => Age::Fresh,
            (true, false) => Age::RefreshDue,
            (false, true) => Age::Stale,
            (false, false) => Age::RevalidationDue,
        }
    }
}

impl<V> From<CacheEntry<V>> for Cached<V> {
    fn from(entry: CacheEntry<V>) -> Self {
        Self { age: entry.age(), value: entry.value }
    }
}

impl Age {
    #[must_use]
    pub fn is_fresh(self) -> bool {
        matches!(self, Self::Fresh | Self::RefreshDue)
    }

    pub(super) fn is_due(self) -> bool {
        matches!(self, Self::RefreshDue | Self::RevalidationDue)
    }
}

/// Passes the retention of each value to moka.
pub(super) struct RetentionExpiry;

impl<K, V: CacheValue<K>> moka::Expiry<K, CacheEntry<V>> for RetentionExpiry {
    fn expire_after_create(&self, _: &K, entry: &CacheEntry<V>, _: std::time::Instant) -> Option<Duration> {
        match entry.value.retention() {
            Retention::UntilEvicted | Retention::Revalidate(_) => None,
            Retention::ExpireAfter(time) => Some(time),
            Retention::Never => Some(Duration::ZERO),
        }
    }

    fn expire_after_update(
        &self,
        key: &K,
        entry: &CacheEntry<V>,
        now: std::time::Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}
