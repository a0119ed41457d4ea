//! How often each of many may do something in a minute, in memory that does not grow with how many they are.
//!
//! Counts stand in a table of fixed size, each key's in one place of each of two rows, and the smaller one counts: a
//! count-min sketch. It never counts too little. Who shares both places with others, which takes many thousands in one minute,
//! shares their quota. A limiter with an entry a key, such as `governor`'s, grows with the addresses of an attack until it is
//! swept. A minute begins anew for all at once, so two quotas can be used around its turn.

use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use foldhash::quality::RandomState;

/// So many a minute for each key.
#[derive(Debug)]
pub struct Quota {
    rows: [Row; 2],
    start: Instant,
    per_minute: u32,
}

#[derive(Debug)]
struct Row {
    hasher: RandomState,
    /// The minute, and how many there were in it.
    places: Box<[AtomicU64]>,
}

/// Of eight bytes each, in each row.
const PLACES: usize = 1 << 15;

const MINUTE: Duration = Duration::from_secs(60);

impl Quota {
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        let row = || Row {
            hasher: RandomState::default(),
            places: std::iter::repeat_with(AtomicU64::default).take(PLACES).collect(),
        };
        Self { rows: [row(), row()], start: Instant::now(), per_minute }
    }

    /// As [`Quota::new`]; zero is no limit.
    #[must_use]
    pub fn unless_zero(per_minute: u32) -> Option<Self> {
        (per_minute > 0).then(|| Self::new(per_minute))
    }

    /// Counts one more of `key`.
    ///
    /// # Errors
    /// It is beyond the quota; and when the next minute begins.
    pub fn take(&self, key: &impl Hash) -> Result<(), Duration> {
        let elapsed = self.start.elapsed();
        self.take_in(elapsed.as_secs() / MINUTE.as_secs(), key)
            .map_err(|()| Duration::from_secs(MINUTE.as_secs() - elapsed.as_secs() % MINUTE.as_secs()))
    }

    fn take_in(&self, minute: u64, key: &impl Hash) -> Result<(), ()> {
        // Zero is what places begin with.
        let minute = u32::try_from(minute + 1).unwrap_or(u32::MAX);
        let count = self.rows.iter().map(|row| row.count(minute, key)).min();
        if count.is_some_and(|count| count > self.per_minute) { Err(()) } else { Ok(()) }
    }
}

impl Row {
    fn count(&self, minute: u32, key: &impl Hash) -> u32 {
        // The hash fits: its remainder is below `PLACES`.
        let place = &self.places[(self.hasher.hash_one(key) % PLACES as u64) as usize];
        let next = |old: u64| {
            let (of, count) = ((old >> 32) as u32, (old & u64::from(u32::MAX)) as u32);
            if of == minute { count.saturating_add(1) } else { 1 }
        };
        let packed = |old| Some(u64::from(minute) << 32 | u64::from(next(old)));
        next(place.fetch_update(Relaxed, Relaxed, packed).unwrap_or_default())
    }
}

/// Who counts as one client: an IPv6 subscriber has a whole /64 (RFC 6177), and would else be as many as addresses in it.
#[must_use]
pub fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_quota_of_its_own_each_minute() {
        let quota = Quota::new(2);
        let tries = |minute, key: &str| (0..3).map(|_| quota.take_in(minute, &key).is_ok()).collect::<Vec<_>>();
        assert_eq!(tries(0, "a"), [true, true, false]);
        assert_eq!(tries(0, "b"), [true, true, false]);
        assert_eq!(tries(1, "a"), [true, true, false]);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn ten_thousand_others_take_nothing_from_almost_anybody() {
        let quota = Quota::new(10);
        for other in 0..10_000_u32 {
            for _ in 0..10 {
                let _ = quota.take_in(0, &other);
            }
        }
        let hindered = (20_000..21_000_u32).filter(|one| quota.take_in(0, one).is_err()).count();
        assert!(hindered < 150, "{hindered} of 1000");
    }

    #[test]
    fn it_says_when_the_next_minute_begins() {
        let quota = Quota::new(0);
        let wait = quota.take(&1).unwrap_err();
        assert!(!wait.is_zero() && wait <= MINUTE, "{wait:?}");
        assert!(Quota::unless_zero(0).is_none());
    }
}
