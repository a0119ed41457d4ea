//! Token buckets per key in constant memory, for rates of cost: each key may spend an amount of time per minute.
//!
//! A bucket holds a minute's worth of tokens and fills continuously. Work may start while its bucket holds any token,
//! and is charged in full, so a bucket can go into debt; the next work waits until the debt is refilled. As in
//! [`RateLimiter`](super::rate_limiter::RateLimiter), each key has two slots, and the fuller bucket counts. Keys that collide in both rows share a bucket.

use std::hash::Hash;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::key_slots::KeySlots;

/// Lets each key spend `per_minute` of time a minute.
#[derive(Debug)]
pub struct TokenBuckets {
    /// When each bucket will be full, in microseconds since the start.
    full_at: KeySlots,
    start: Instant,
    per_minute: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);

impl TokenBuckets {
    /// Full buckets; `None` if `per_minute` is zero, which means no limit.
    #[must_use]
    pub fn unless_zero(per_minute: Duration) -> Option<Self> {
        (!per_minute.is_zero()).then(|| Self { full_at: KeySlots::new(), start: Instant::now(), per_minute })
    }

    /// # Errors
    /// The bucket of `key` is empty. The error is the time until it holds tokens again.
    pub fn check(&self, key: &impl Hash) -> Result<(), Duration> {
        self.check_at(self.now(), key)
    }

    /// Charges `cost` to `key`.
    ///
    /// # Errors
    /// See [`check`](Self::check). Nothing is charged then.
    pub fn charge(&self, key: &impl Hash, cost: Duration) -> Result<(), Duration> {
        self.charge_at(self.now(), key, cost)
    }

    /// Corrects a charge: the work cost `actual` instead of `charged`.
    pub fn correct(&self, key: &impl Hash, charged: Duration, actual: Duration) {
        self.add(self.now(), key, actual.saturating_sub(charged), charged.saturating_sub(actual));
    }

    fn check_at(&self, now: u64, key: &impl Hash) -> Result<(), Duration> {
        let full_at = self.full_at.of(key).map(|slot| slot.load(Relaxed)).into_iter().min().unwrap_or(0);
        let empty_until = full_at.saturating_sub(micros(MINUTE)).saturating_add(1);
        if full_at.saturating_sub(now) < micros(MINUTE) {
            Ok(())
        } else {
            Err(Duration::from_micros(empty_until - now))
        }
    }

    fn charge_at(&self, now: u64, key: &impl Hash, cost: Duration) -> Result<(), Duration> {
        self.check_at(now, key)?;
        self.add(now, key, cost, Duration::ZERO);
        Ok(())
    }

    fn add(&self, now: u64, key: &impl Hash, more: Duration, less: Duration) {
        let (more, less) = (self.refill_time(more), self.refill_time(less));
        for slot in self.full_at.of(key) {
            let next = |full_at: u64| Some(full_at.max(now).saturating_add(more).saturating_sub(less));
            let _ = slot.fetch_update(Relaxed, Relaxed, next);
        }
    }

    /// Microseconds in which a bucket gains tokens for `cost`.
    fn refill_time(&self, cost: Duration) -> u64 {
        let time = cost.as_secs_f64() / self.per_minute.as_secs_f64() * MINUTE.as_secs_f64();
        Duration::try_from_secs_f64(time).map_or(u64::MAX, micros)
    }

    fn now(&self) -> u64 {
        micros(self.start.elapsed())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds since the start, in the unit of the buckets.
    fn at(seconds: u64) -> u64 {
        micros(Duration::from_secs(seconds))
    }

    #[test]
    fn each_key_spends_its_minute_and_gets_it_back_continuously() {
        let buckets = TokenBuckets::unless_zero(20 * SECOND).unwrap();
        for _ in 0..4 {
            assert_eq!(buckets.charge_at(at(100), &"a", 5 * SECOND), Ok(()));
        }
        assert!(buckets.charge_at(at(100), &"a", SECOND).unwrap_err() <= Duration::from_micros(1));
        assert_eq!(buckets.charge_at(at(100), &"b", SECOND), Ok(()));
        assert_eq!(buckets.check_at(at(101), &"a"), Ok(()), "a third of a second is back");
    }

    #[test]
    fn work_larger_than_the_bucket_goes_into_debt() {
        let buckets = TokenBuckets::unless_zero(20 * SECOND).unwrap();
        assert_eq!(buckets.charge_at(0, &1, 60 * SECOND), Ok(()), "the bucket is full");
        let wait = buckets.check_at(0, &1).unwrap_err();
        assert!((120 * SECOND..121 * SECOND).contains(&wait), "40 s of debt are refilled in 2 minutes: {wait:?}");
        assert_eq!(buckets.check_at(at(121), &1), Ok(()));
    }

    #[test]
    fn a_charge_is_corrected_in_both_directions() {
        let buckets = TokenBuckets::unless_zero(60 * SECOND).unwrap();
        buckets.charge(&1, 100 * SECOND).unwrap();
        assert!(buckets.check(&1).is_err());
        buckets.correct(&1, 100 * SECOND, SECOND);
        assert_eq!(buckets.check(&1), Ok(()));
        buckets.correct(&1, SECOND, 100 * SECOND);
        assert!(buckets.check(&1).is_err());
    }

    #[test]
    fn zero_is_no_limit() {
        assert!(TokenBuckets::unless_zero(Duration::ZERO).is_none());
    }
}
