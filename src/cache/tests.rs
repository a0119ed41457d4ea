//! Tests of flights and memory, with small values.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::*;

mod revalidation;

#[derive(Debug, Clone, PartialEq)]
enum TestValue {
    Good(&'static str),
    Expiring,
    Scheduled(&'static str, Schedule),
    Bad,
    Heavy(usize),
    Panicked,
    Overloaded,
}

impl CacheValue<u32> for TestValue {
    fn weight(&self, _: &u32) -> usize {
        match self {
            Self::Heavy(bytes) => *bytes,
            _ => 1,
        }
    }

    fn retention(&self) -> Retention {
        match self {
            Self::Good(_) | Self::Heavy(_) => Retention::UntilEvicted,
            Self::Expiring => Retention::ExpireAfter(Duration::from_millis(1)),
            Self::Scheduled(_, schedule) => Retention::Revalidate(*schedule),
            _ => Retention::Never,
        }
    }

    fn panicked() -> Self {
        Self::Panicked
    }

    fn overloaded() -> Self {
        Self::Overloaded
    }
}

fn cache(bytes_max: u64, flights_max: usize) -> Cache<u32, TestValue> {
    Cache::new(bytes_max, flights_max, Tasks::new(Handle::current()), Counter::default())
}

/// Sends a thousand concurrent requests for one key; the flight waits for all of them, then ends with `value`.
async fn herd(value: TestValue) -> (Vec<(TestValue, ServedFrom)>, usize) {
    let cache = cache(100, 10);
    let made = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Notify::new());
    let asked = (0..1000).map(|_| {
        let (made, gate, value, cache) = (made.clone(), gate.clone(), value.clone(), cache.clone());
        async move {
            let make = || async move {
                made.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                assert_ne!(value, TestValue::Panicked, "this flight panics on purpose");
                value
            };
            cache.get_or_make(&7, make).await
        }
    });
    let open = async {
        while made.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
    };
    let (answers, ()) = tokio::join!(join_all(asked), open);
    assert!(cache.tasks.drain(Duration::from_secs(5)).await);
    assert!(cache.flights() == 0, "an ended flight is still in the map");
    (answers, made.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_thousand_concurrent_requests_share_one_flight() {
    let (answers, made) = herd(TestValue::Good("cat")).await;
    assert_eq!(made, 1);
    assert!(answers.iter().all(|(value, _)| *value == TestValue::Good("cat")));
    assert_eq!(answers.iter().filter(|(_, source)| *source == ServedFrom::OwnFlight).count(), 1);
    assert_eq!(answers.iter().filter(|(_, source)| *source == ServedFrom::JoinedFlight).count(), 999);
}

#[tokio::test]
async fn a_failed_flight_fails_all_waiters_and_is_not_cached() {
    let (answers, made) = herd(TestValue::Bad).await;
    assert_eq!((answers.len(), made), (1000, 1));
    assert!(answers.iter().all(|(value, _)| *value == TestValue::Bad));
}

#[tokio::test]
async fn a_panic_in_a_flight_fails_all_waiters() {
    let (answers, made) = herd(TestValue::Panicked).await;
    assert_eq!((answers.len(), made), (1000, 1));
    assert!(answers.iter().all(|(value, _)| *value == TestValue::Panicked));
}

#[tokio::test]
async fn a_made_value_is_a_hit_afterwards_and_a_failed_one_is_made_again() {
    let cache = cache(100, 10);
    let made = AtomicUsize::new(0);
    let make = |value: TestValue| {
        made.fetch_add(1, Ordering::SeqCst);
        std::future::ready(value)
    };
    assert_eq!(
        cache.get_or_make(&1, || make(TestValue::Good("cat"))).await,
        (TestValue::Good("cat"), ServedFrom::OwnFlight)
    );
    assert_eq!(
        cache.get_or_make(&1, || make(TestValue::Good("dog"))).await,
        (TestValue::Good("cat"), ServedFrom::Memory)
    );
    assert_eq!(cache.get_or_make(&2, || make(TestValue::Bad)).await, (TestValue::Bad, ServedFrom::OwnFlight));
    assert_eq!(
        cache.get_or_make(&2, || make(TestValue::Good("dog"))).await,
        (TestValue::Good("dog"), ServedFrom::OwnFlight)
    );
    assert_eq!(made.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_value_expires_after_its_retention() {
    let cache = cache(100, 10);
    cache.get_or_make(&1, || std::future::ready(TestValue::Expiring)).await;
    let start = std::time::Instant::now();
    while cache.fresh(&1).is_some() {
        assert!(start.elapsed() < Duration::from_secs(5), "still in memory");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn client_disconnect_does_not_cancel_the_flight() {
    let cache = cache(100, 10);
    let (open, gate) = oneshot::channel::<()>();
    let make = || async move {
        gate.await.unwrap();
        TestValue::Good("cat")
    };
    let leader = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.get_or_make(&1, make).await })
    };
    while cache.flights() == 0 {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let follower = cache.get_or_make(&1, || std::future::ready(TestValue::Bad));
    open.send(()).unwrap();
    assert_eq!(follower.await, (TestValue::Good("cat"), ServedFrom::JoinedFlight));
}

#[tokio::test]
async fn memory_stays_within_its_limit_and_evicts_the_least_recently_used() {
    let cache = cache(100, 10);
    for key in 0..50 {
        cache.get_or_make(&key, || std::future::ready(TestValue::Heavy(30))).await;
        assert!(cache.bytes() <= 100, "{} bytes", cache.bytes());
        assert!(cache.fresh(&0).is_some(), "key 0 was used recently");
    }
    assert!(cache.fresh(&49).is_some() && cache.fresh(&10).is_none());
}

#[tokio::test]
async fn a_flight_over_the_limit_is_refused() {
    let cache = cache(100, 1);
    let (open, gate) = oneshot::channel::<()>();
    let first = cache.get_or_make(&1, || async move {
        gate.await.unwrap();
        TestValue::Good("cat")
    });
    let second = async {
        while cache.flights() == 0 {
            tokio::task::yield_now().await;
        }
        let refused = cache.get_or_make(&2, || std::future::ready(TestValue::Good("dog"))).await.0;
        open.send(()).unwrap();
        refused
    };
    assert_eq!(tokio::join!(first, second), ((TestValue::Good("cat"), ServedFrom::OwnFlight), TestValue::Overloaded));
}

#[tokio::test]
async fn shutdown_waits_for_flights_up_to_its_timeout() {
    let cache = cache(100, 10);
    let (open, gate) = oneshot::channel::<()>();
    let flight = cache.get_or_make(&1, || async move {
        gate.await.unwrap();
        TestValue::Good("cat")
    });
    let drain = async {
        while cache.flights() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!cache.tasks.drain(Duration::ZERO).await);
        open.send(()).unwrap();
        assert!(cache.tasks.drain(Duration::from_secs(5)).await);
    };
    tokio::join!(flight, drain);
}

#[tokio::test]
async fn an_invalidated_value_is_made_again_and_an_older_flight_caches_nothing() {
    let cache = cache(100, 10);
    for key in [1, 2] {
        cache.get_or_make(&key, || std::future::ready(TestValue::Good("old"))).await;
    }
    let (open, gate) = oneshot::channel::<()>();
    let before = cache.get_or_make(&3, || async move {
        gate.await.unwrap();
        TestValue::Good("old")
    });
    let after = async {
        while cache.flights() == 0 {
            tokio::task::yield_now().await;
        }
        cache.invalidate_matching(|key| *key != 2);
        assert_eq!((cache.fresh(&1), cache.fresh(&2)), (None, Some(TestValue::Good("old"))));
        let again = cache.get_or_make(&3, || std::future::ready(TestValue::Good("new"))).await;
        open.send(()).unwrap();
        again
    };
    let (before, after) = tokio::join!(before, after);
    assert_eq!((before.0, after), (TestValue::Good("old"), (TestValue::Good("new"), ServedFrom::OwnFlight)));
    assert!(cache.tasks.drain(Duration::from_secs(5)).await);
    assert_eq!(cache.fresh(&3), Some(TestValue::Good("new")));
}
