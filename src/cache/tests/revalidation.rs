//! Tests of values that become stale.

use tokio::time::{Instant, advance};

use super::*;

const REFRESH: Duration = Duration::from_secs(48);
const FRESH: Duration = Duration::from_secs(60);

/// A value that is made now.
fn scheduled(name: &'static str) -> TestValue {
    let now = Instant::now();
    TestValue::Scheduled(name, Schedule { revalidate_at: now + REFRESH, stale_at: now + FRESH })
}

async fn put(cache: &Cache<u32, TestValue>, key: u32, value: TestValue) {
    cache.get_or_make(&key, || std::future::ready(value)).await;
}

/// Starts a revalidation that ends with `value` when the sender is used.
fn start(cache: &Cache<u32, TestValue>, key: u32) -> (FlightWaiter<TestValue>, oneshot::Sender<TestValue>, Late) {
    let (send, receive) = oneshot::channel();
    let mut signal = None;
    let started = cache.revalidate(&key, 10, |_, late| {
        signal = Some(late);
        async { receive.await.unwrap() }
    });
    let Revalidation::Running(waiter) = started else { panic!("not started") };
    (waiter, send, signal.expect("a new flight"))
}

fn age(cache: &Cache<u32, TestValue>) -> Option<Age> {
    cache.get(&1).map(|cached| cached.age)
}

#[tokio::test(start_paused = true)]
async fn a_value_is_due_before_it_is_stale() {
    let cache = cache(100, 10);
    put(&cache, 1, scheduled("old")).await;
    let millisecond = Duration::from_millis(1);
    advance(REFRESH - millisecond).await;
    assert_eq!(age(&cache), Some(Age::Fresh));
    let early = cache.revalidate(&1, 10, |value, _| std::future::ready(value));
    assert!(matches!(early, Revalidation::Superseded), "no revalidation is due");
    advance(millisecond).await;
    assert_eq!(age(&cache), Some(Age::RefreshDue));
    advance(FRESH - REFRESH).await;
    assert_eq!(age(&cache), Some(Age::RevalidationDue));
    assert!(cache.fresh(&1).is_none());
    let now = Instant::now();
    let failed = Schedule { revalidate_at: now + millisecond, stale_at: now - millisecond };
    put(&cache, 1, TestValue::Scheduled("old", failed)).await;
    assert_eq!(age(&cache), Some(Age::Stale), "the last revalidation failed");
}

#[tokio::test(start_paused = true)]
async fn a_value_is_served_while_it_is_refreshed_by_one_flight() {
    let cache = cache(100, 10);
    put(&cache, 1, scheduled("old")).await;
    advance(REFRESH).await;
    let (waiter, finish, _) = start(&cache, 1);
    let second = cache.revalidate(&1, 10, |_, _| -> std::future::Ready<TestValue> { panic!("a second flight") });
    let Revalidation::Running(second) = second else { panic!("not joined") };
    assert_eq!(age(&cache), Some(Age::RefreshDue), "the value is still served");
    let renewed = scheduled("renewed");
    finish.send(renewed.clone()).unwrap();
    assert_eq!(waiter.result().await, (renewed.clone(), ServedFrom::OwnFlight));
    assert_eq!(second.result().await, (renewed, ServedFrom::JoinedFlight));
    assert_eq!(age(&cache), Some(Age::Fresh));
}

#[tokio::test(start_paused = true)]
async fn waiters_of_a_late_revalidation_give_up_and_later_ones_do_not_wait() {
    let cache = cache(100, 10);
    put(&cache, 1, scheduled("old")).await;
    advance(FRESH).await;
    let (first, finish, late) = start(&cache, 1);
    let announce = async {
        tokio::task::yield_now().await;
        late.announce();
    };
    assert_eq!(tokio::join!(first.result_unless_late(), announce).0, None);
    let Revalidation::Running(second) = cache.revalidate(&1, 10, |value, _| std::future::ready(value)) else {
        panic!("not joined")
    };
    assert_eq!(second.result_unless_late().await, None);
    finish.send(scheduled("renewed")).unwrap();
    assert!(cache.tasks.drain(Duration::from_secs(5)).await);
    assert_eq!(age(&cache), Some(Age::Fresh), "its result is kept nevertheless");
}

#[tokio::test(start_paused = true)]
async fn revalidations_and_missing_values_have_separate_limits() {
    let cache = cache(100, 1);
    for key in [1, 2, 3] {
        put(&cache, key, scheduled("old")).await;
    }
    advance(FRESH).await;
    let (_open, gate) = oneshot::channel::<()>();
    let make = || async {
        let _ = gate.await;
        TestValue::Bad
    };
    let FlightEntry::Running(_missing) = cache.join_or_start(&4, |_| make()) else { panic!("not started") };
    let (_first, _finish_first, _) = start(&cache, 1);
    let (_second, _finish_second, _) = start(&cache, 2);
    let third = cache.revalidate(&3, 2, |value, _| std::future::ready(value));
    assert!(matches!(third, Revalidation::TooMany), "two are running");
    assert!(matches!(cache.join_or_start(&5, |_| std::future::ready(TestValue::Bad)), FlightEntry::Full));
    assert_eq!(cache.flights(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_result_of_a_revalidation_does_not_undo_an_invalidation() {
    let cache = cache(100, 10);
    put(&cache, 1, scheduled("old")).await;
    advance(FRESH).await;
    let (_, finish, _) = start(&cache, 1);
    cache.invalidate_matching(|_| true);
    assert_eq!((age(&cache), cache.flights()), (None, 0));
    put(&cache, 1, scheduled("new")).await;
    finish.send(scheduled("old")).unwrap();
    assert!(cache.tasks.drain(Duration::from_secs(5)).await);
    let kept = cache.get(&1).unwrap().value;
    assert!(matches!(kept, TestValue::Scheduled("new", _)), "{kept:?}");
    let limit_is_free = cache.flights.lock().revalidations() == 0;
    assert!(limit_is_free);
}

#[tokio::test(start_paused = true)]
async fn a_revalidation_that_starts_during_an_invalidation_is_detached() {
    let cache = cache(100, 10);
    put(&cache, 1, scheduled("old")).await;
    advance(FRESH).await;
    let started = std::cell::RefCell::new(None);
    cache.invalidate_matching(|_| {
        // The first calls visit the running flights, and there are none: this one visits the old value in memory.
        started.borrow_mut().get_or_insert_with(|| start(&cache, 1));
        true
    });
    let (waiter, finish, _) = started.into_inner().unwrap();
    let old = scheduled("old");
    finish.send(old.clone()).unwrap();
    assert_eq!(waiter.result().await.0, old);
    assert_eq!(age(&cache), None, "the old value does not come back");
}

#[tokio::test(start_paused = true)]
async fn a_failed_or_panicked_revalidation_keeps_the_value() {
    let cache = cache(100, 10);
    put(&cache, 1, scheduled("old")).await;
    advance(FRESH).await;
    let (waiter, finish, _) = start(&cache, 1);
    finish.send(TestValue::Bad).unwrap();
    assert_eq!(waiter.result().await.0, TestValue::Bad);
    let (waiter, finish, _) = start(&cache, 1);
    drop(finish);
    assert_eq!(waiter.result().await.0, TestValue::Panicked);
    assert_eq!(age(&cache), Some(Age::RevalidationDue));
    assert_eq!(cache.flights(), 0);
}
