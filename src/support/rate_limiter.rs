//! Rate limiting per key in constant memory.
//!
//! A count-min sketch: each key is counted in one slot of each of two fixed-size rows, and the smaller count is used. The
//! sketch never underestimates. Keys that collide in both rows share a quota, which takes many thousands of active keys in one
//! minute. A limiter with an entry per key, such as `governor`, grows with the number of addresses in an attack until it is
//! cleaned up. All counts restart at the minute boundary, so a burst around it can use two quotas.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::key_slots::KeySlots;

/// Allows each key a fixed number of requests per minute.
#[derive(Debug)]
pub struct RateLimiter {
    /// The minute in the upper 32 bits, the count within that minute in the lower.
    counts: KeySlots,
    start: Instant,
    per_minute: u32,
}

const MINUTE: Duration = Duration::from_secs(60);

impl RateLimiter {
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { counts: KeySlots::new(), start: Instant::now(), per_minute }
    }

    /// Like [`RateLimiter::new`], but a rate of zero means no limit.
    #[must_use]
    pub fn unless_zero(per_minute: u32) -> Option<Self> {
        (per_minute > 0).then(|| Self::new(per_minute))
    }

    /// Counts one request of `key`.
    ///
    /// # Errors
    /// `key` is over its rate. The error is the time until the next minute begins.
    pub fn check(&self, key: &impl Hash) -> Result<(), Duration> {
        let elapsed = self.start.elapsed();
        self.check_in(elapsed.as_secs() / MINUTE.as_secs(), key)
            .map_err(|()| Duration::from_secs(MINUTE.as_secs() - elapsed.as_secs() % MINUTE.as_secs()))
    }

    fn check_in(&self, minute: u64, key: &impl Hash) -> Result<(), ()> {
        // Minute zero marks unused slots.
        let minute = u32::try_from(minute + 1).unwrap_or(u32::MAX);
        let count = self.counts.of(key).map(|slot| count(slot, minute)).into_iter().min();
        if count.is_some_and(|count| count > self.per_minute) { Err(()) } else { Ok(()) }
    }
}

/// Counts one request in a slot, and returns the count of this minute.
fn count(slot: &AtomicU64, minute: u32) -> u32 {
    let next = |old: u64| {
        let (old_minute, count) = ((old >> 32) as u32, (old & u64::from(u32::MAX)) as u32);
        if old_minute == minute { count.saturating_add(1) } else { 1 }
    };
    let packed = |old| Some(u64::from(minute) << 32 | u64::from(next(old)));
    next(slot.fetch_update(Relaxed, Relaxed, packed).unwrap_or_default())
}

/// The address under which a client is limited. An IPv6 subscriber has a whole /64 (RFC 6177) and counts as one client.
#[must_use]
pub fn client_network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_separate_quota_each_minute() {
        let limiter = RateLimiter::new(2);
        let checks = |minute, key: &str| (0..3).map(|_| limiter.check_in(minute, &key).is_ok()).collect::<Vec<_>>();
        assert_eq!(checks(0, "a"), [true, true, false]);
        assert_eq!(checks(0, "b"), [true, true, false]);
        assert_eq!(checks(1, "a"), [true, true, false]);
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let network = |text: &str| client_network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn ten_thousand_busy_keys_rarely_affect_other_keys() {
        let limiter = RateLimiter::new(10);
        for busy in 0..10_000_u32 {
            for _ in 0..10 {
                let _ = limiter.check_in(0, &busy);
            }
        }
        let refused = (20_000..21_000_u32).filter(|key| limiter.check_in(0, key).is_err()).count();
        assert!(refused < 150, "{refused} of 1000");
    }

    #[test]
    fn the_error_is_the_time_until_the_next_minute() {
        let limiter = RateLimiter::new(0);
        let wait = limiter.check(&1).unwrap_err();
        assert!(!wait.is_zero() && wait <= MINUTE, "{wait:?}");
        assert!(RateLimiter::unless_zero(0).is_none());
    }
}
