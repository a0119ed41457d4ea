//! Flights and memory, on outcomes of one word.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::*;

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Good(&'static str),
    Brief,
    Passing(Duration),
    Bad,
    Heavy(usize),
    Aborted,
    Refused,
}

impl Outcome<u32> for Word {
    fn weight(&self, _: &u32) -> usize {
        match self {
            Self::Heavy(bytes) => *bytes,
            _ => 1,
        }
    }

    fn keep(&self) -> Keep {
        match self {
            Self::Good(_) | Self::Heavy(_) => Keep::UntilEvicted,
            Self::Brief => Keep::For(Duration::from_millis(1)),
            Self::Passing(time) => Keep::Fresh(*time),
            _ => Keep::Never,
        }
    }

    fn aborted() -> Self {
        Self::Aborted
    }

    fn refused() -> Self {
        Self::Refused
    }
}

fn cache(bytes_max: u64, flights_max: usize) -> Cache<u32, Word> {
    Cache::new(bytes_max, flights_max, Tasks::new(Handle::current()), Counter::default())
}

/// A thousand ask for one key while its flight waits; then it lands with `word`.
async fn herd(word: Word) -> (Vec<(Word, Source)>, usize) {
    let cache = cache(100, 10);
    let made = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Notify::new());
    let asked = (0..1000).map(|_| {
        let (made, gate, word, cache) = (made.clone(), gate.clone(), word.clone(), cache.clone());
        async move {
            let make = |_| async move {
                made.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                assert_ne!(word, Word::Aborted, "this flight is meant to panic");
                word
            };
            cache.find_or_make(&7, make).await
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
    assert!(lock(&cache.flights).is_empty(), "a flight that ended is still in the map");
    (answers, made.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_thousand_who_ask_at_once_share_one_flight() {
    let (answers, made) = herd(Word::Good("cat")).await;
    assert_eq!(made, 1);
    assert!(answers.iter().all(|(word, _)| *word == Word::Good("cat")));
    assert_eq!(answers.iter().filter(|(_, source)| *source == Source::Led).count(), 1);
    assert_eq!(answers.iter().filter(|(_, source)| *source == Source::Joined).count(), 999);
}

#[tokio::test]
async fn a_failed_flight_is_an_answer_to_all_and_is_not_remembered() {
    let (answers, made) = herd(Word::Bad).await;
    assert_eq!((answers.len(), made), (1000, 1));
    assert!(answers.iter().all(|(word, _)| *word == Word::Bad));
}

#[tokio::test]
async fn a_panic_in_a_flight_is_an_answer_to_all() {
    let (answers, made) = herd(Word::Aborted).await;
    assert_eq!((answers.len(), made), (1000, 1));
    assert!(answers.iter().all(|(word, _)| *word == Word::Aborted));
}

#[tokio::test]
async fn what_was_made_is_a_hit_afterwards_and_what_failed_is_made_again() {
    let cache = cache(100, 10);
    let made = AtomicUsize::new(0);
    let make = |word: Word| {
        made.fetch_add(1, Ordering::SeqCst);
        std::future::ready(word)
    };
    assert_eq!(cache.find_or_make(&1, |_| make(Word::Good("cat"))).await, (Word::Good("cat"), Source::Led));
    assert_eq!(cache.find_or_make(&1, |_| make(Word::Good("dog"))).await, (Word::Good("cat"), Source::Hit));
    assert_eq!(cache.find_or_make(&2, |_| make(Word::Bad)).await, (Word::Bad, Source::Led));
    assert_eq!(cache.find_or_make(&2, |_| make(Word::Good("dog"))).await, (Word::Good("dog"), Source::Led));
    assert_eq!(made.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn an_outcome_kept_briefly_is_forgotten_after_its_time() {
    let cache = cache(100, 10);
    cache.find_or_make(&1, |_| std::future::ready(Word::Brief)).await;
    let start = Instant::now();
    while cache.find(&1).is_some() {
        assert!(start.elapsed() < Duration::from_secs(5), "still remembered");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_who_hangs_up_does_not_cancel_the_flight() {
    let cache = cache(100, 10);
    let (open, gate) = oneshot::channel::<()>();
    let make = |_| async move {
        gate.await.unwrap();
        Word::Good("cat")
    };
    let leader = {
        let cache = cache.clone();
        tokio::spawn(async move { cache.find_or_make(&1, make).await })
    };
    while lock(&cache.flights).is_empty() {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let follower = cache.find_or_make(&1, |_| std::future::ready(Word::Bad));
    open.send(()).unwrap();
    assert_eq!(follower.await, (Word::Good("cat"), Source::Joined));
}

#[tokio::test]
async fn memory_never_holds_more_than_its_limit_and_drops_the_least_recently_used() {
    let cache = cache(100, 10);
    for key in 0..50 {
        cache.find_or_make(&key, |_| std::future::ready(Word::Heavy(30))).await;
        assert!(cache.weight() <= 100, "{} bytes", cache.weight());
        assert!(cache.find(&0).is_some(), "key 0 is used all the time");
    }
    assert!(cache.find(&49).is_some() && cache.find(&10).is_none());
}

#[tokio::test]
async fn one_flight_too_many_is_refused() {
    let cache = cache(100, 1);
    let (open, gate) = oneshot::channel::<()>();
    let first = cache.find_or_make(&1, |_| async move {
        gate.await.unwrap();
        Word::Good("cat")
    });
    let second = async {
        while lock(&cache.flights).is_empty() {
            tokio::task::yield_now().await;
        }
        let refused = cache.find_or_make(&2, |_| std::future::ready(Word::Good("dog"))).await.0;
        open.send(()).unwrap();
        refused
    };
    assert_eq!(tokio::join!(first, second), ((Word::Good("cat"), Source::Led), Word::Refused));
}

#[tokio::test]
async fn shutdown_waits_for_flights_and_gives_up_when_told() {
    let cache = cache(100, 10);
    let (open, gate) = oneshot::channel::<()>();
    let flight = cache.find_or_make(&1, |_| async move {
        gate.await.unwrap();
        Word::Good("cat")
    });
    let drain = async {
        while lock(&cache.flights).is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(!cache.tasks.drain(Duration::ZERO).await);
        open.send(()).unwrap();
        assert!(cache.tasks.drain(Duration::from_secs(5)).await);
    };
    tokio::join!(flight, drain);
}

#[tokio::test]
async fn a_stale_outcome_is_answered_no_more_but_given_to_the_flight_that_renews_it() {
    let cache = cache(100, 10);
    let (stale, fresh) = (Word::Passing(Duration::ZERO), Word::Passing(Duration::from_secs(600)));
    cache.find_or_make(&1, |_| std::future::ready(stale.clone())).await;
    assert!(cache.find(&1).is_none());
    let renewed = cache.find_or_make(&1, |given| {
        assert_eq!(given, Some(stale.clone()));
        std::future::ready(fresh.clone())
    });
    assert_eq!(renewed.await, (fresh.clone(), Source::Led));
    assert_eq!(cache.find(&1), Some(fresh));
}

#[tokio::test]
async fn a_flight_that_fails_leaves_the_stale_outcome_to_the_next() {
    let cache = cache(100, 10);
    let stale = Word::Passing(Duration::ZERO);
    cache.find_or_make(&1, |_| std::future::ready(stale.clone())).await;
    for _ in 0..2 {
        cache
            .find_or_make(&1, |given| std::future::ready(if given.is_some() { Word::Bad } else { Word::Aborted }))
            .await;
    }
    cache.find_or_make(&1, |given| std::future::ready(given.unwrap())).await;
}

#[tokio::test]
async fn what_was_forgotten_is_made_anew_and_a_flight_from_before_leaves_nothing() {
    let cache = cache(100, 10);
    for key in [1, 2] {
        cache.find_or_make(&key, |_| std::future::ready(Word::Good("old"))).await;
    }
    let (open, gate) = oneshot::channel::<()>();
    let before = cache.find_or_make(&3, |_| async move {
        gate.await.unwrap();
        Word::Good("old")
    });
    let after = async {
        while lock(&cache.flights).is_empty() {
            tokio::task::yield_now().await;
        }
        cache.forget_all(|key| *key != 2);
        assert_eq!((cache.find(&1), cache.find(&2)), (None, Some(Word::Good("old"))));
        let anew = cache.find_or_make(&3, |_| std::future::ready(Word::Good("new"))).await;
        open.send(()).unwrap();
        anew
    };
    let (before, after) = tokio::join!(before, after);
    assert_eq!((before.0, after), (Word::Good("old"), (Word::Good("new"), Source::Led)));
    assert!(cache.tasks.drain(Duration::from_secs(5)).await);
    assert_eq!(cache.find(&3), Some(Word::Good("new")));
}
