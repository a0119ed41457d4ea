//! Remember what was made, and make each thing once at a time.
//!
//! A [`Cache`] is a memory of outcomes, weighed in bytes and least recently used first out, and the *flights* that fill
//! it: the one running task that makes an outcome while everyone else who asks for the same key waits for it. A flight
//! runs on a task of its own, so that a client who hangs up cannot cancel what others wait for; a flight that panics is
//! an outcome too. This module knows neither pictures nor stores: what an outcome is, and how long it is kept, its type
//! says by [`Outcome`].

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

use crate::observability::metrics::Counter;
use crate::observability::traces;
use crate::support::tasks::Tasks;

#[cfg(test)]
mod tests;

/// What a flight ends with, and what memory holds: a value or a failure, cheap to clone.
pub trait Outcome<K>: Clone + Send + Sync + 'static {
    /// Bytes that the outcome and its key occupy in memory.
    fn weight(&self, key: &K) -> usize;
    /// How long it may be answered from memory.
    fn keep(&self) -> Keep;
    /// What those who wait are told when their flight panicked.
    fn aborted() -> Self;
    /// What those who ask are told when too many flights are under way.
    fn refused() -> Self;
}

/// How long an outcome is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Until it is the least recently used and its room is needed.
    UntilEvicted,
    /// As [`Keep::UntilEvicted`], but after this long it is answered no more: the next one who asks starts a flight, which
    /// is given the stale outcome to renew it, replace it, or fall back on it.
    Fresh(Duration),
    /// At most this long.
    For(Duration),
    /// Not at all: the next one who asks starts a new flight.
    Never,
}

/// Where an outcome came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Memory.
    Hit,
    /// A flight that this request started.
    Led,
    /// A flight that another request had started.
    Joined,
}

type Memory<K, V> = moka::sync::Cache<K, Remembered<V>, RandomState>;
type Flight<V> = Shared<BoxFuture<'static, V>>;
type Flights<K, V> = Mutex<HashMap<K, Listing<V>, RandomState>>;

/// An outcome in memory.
#[derive(Debug, Clone)]
struct Remembered<V> {
    outcome: V,
    /// When it stops being an answer; `None` is never.
    stale_at: Option<Instant>,
}

/// A flight in the map. The number tells it from a later one for the same key, which may start when it is disowned.
struct Listing<V> {
    number: u64,
    flight: Flight<V>,
    span: traces::SpanLink,
}

/// Numbers for flights.
static FLIGHTS: AtomicU64 = AtomicU64::new(0);

/// Outcomes by key. Cloning is cheap and gives the same cache.
pub struct Cache<K, V> {
    memory: Memory<K, V>,
    flights: Arc<Flights<K, V>>,
    flights_max: usize,
    tasks: Tasks,
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        let Self { memory, flights, flights_max, tasks } = self;
        Self { memory: memory.clone(), flights: flights.clone(), flights_max: *flights_max, tasks: tasks.clone() }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("flights_max", &self.flights_max).finish_non_exhaustive()
    }
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Outcome<K>,
{
    /// An empty cache of at most `bytes_max`, with at most `flights_max` flights at once, run as `tasks`. What gives way
    /// for room is counted in `evictions`.
    #[must_use]
    pub fn new(bytes_max: u64, flights_max: usize, tasks: Tasks, evictions: Counter) -> Self {
        let memory = moka::sync::Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|key: &K, kept: &Remembered<V>| u32::try_from(kept.outcome.weight(key)).unwrap_or(u32::MAX))
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .expire_after(KeepAsLong)
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    evictions.inc();
                }
            })
            .build_with_hasher(RandomState::default());
        Self { memory, flights: Arc::default(), flights_max, tasks }
    }

    /// What memory holds for `key`, if it is an answer still.
    #[must_use]
    pub fn find(&self, key: &K) -> Option<V> {
        self.memory.get(key).filter(Remembered::is_fresh).map(|kept| kept.outcome)
    }

    /// What memory holds for `key`, or else what its flight ends with; `make` is called only to start one, and is given
    /// what memory holds that is no longer fresh.
    pub async fn find_or_make<F>(&self, key: &K, make: impl FnOnce(Option<V>) -> F) -> (V, Source)
    where
        F: Future<Output = V> + Send + 'static,
    {
        if let Some(outcome) = self.find(key) {
            return (outcome, Source::Hit);
        }
        match self.board(key, make) {
            Boarded::Started(flight) => (flight.await, Source::Led),
            Boarded::Joined(flight, span) => (traces::wait_span(&span, flight).await, Source::Joined),
            Boarded::Landed(outcome) => (outcome, Source::Hit),
            Boarded::Full => (V::refused(), Source::Led),
        }
    }

    /// Joins the flight for `key` or starts it.
    fn board<F>(&self, key: &K, make: impl FnOnce(Option<V>) -> F) -> Boarded<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (land, landed) = oneshot::channel();
        let number = FLIGHTS.fetch_add(1, Ordering::Relaxed);
        let (flight, stale, span) = {
            let mut flights = lock(&self.flights);
            if let Some(listing) = flights.get(key) {
                return Boarded::Joined(listing.flight.clone(), listing.span.clone());
            }
            // A flight is remembered before it leaves the map, so one that landed since the first look is found here.
            let stale = match self.memory.get(key) {
                Some(kept) if kept.is_fresh() => return Boarded::Landed(kept.outcome),
                kept => kept.map(|kept| kept.outcome),
            };
            if flights.len() >= self.flights_max {
                return Boarded::Full;
            }
            let (flight, span) = (arrival::<K, V>(landed), traces::child_span("flight"));
            flights.insert(key.clone(), Listing { number, flight: flight.clone(), span: span.link() });
            (flight, stale, span)
        };
        self.start(key.clone(), number, span.instrument(make(stale)), land);
        Boarded::Started(flight)
    }

    fn start(&self, key: K, number: u64, make: impl Future<Output = V> + Send + 'static, land: oneshot::Sender<V>) {
        // Made before the task is, so that the flight leaves the map even if the task is dropped without being polled.
        let listed = Listed { flights: self.flights.clone(), key, number };
        let memory = self.memory.clone();
        self.tasks.spawn(async move {
            let outcome = make.await;
            listed.land(&memory, &outcome);
            // An error here says that nobody waits any more.
            let _ = land.send(outcome);
        });
    }

    /// Forgets every outcome whose key `concerns` says yes to, and disowns the flights under way for such keys: those who
    /// wait for them get their outcomes, but nobody after them does. Looks at every key there is.
    pub fn forget_all(&self, concerns: impl Fn(&K) -> bool) {
        // First the flights: one that lands after this leaves nothing in memory, one that landed before is found there.
        lock(&self.flights).retain(|key, _| !concerns(key));
        let forgotten: Vec<_> = self.memory.iter().map(|(key, _)| key).filter(|key| concerns(key)).collect();
        for key in forgotten {
            self.memory.invalidate(&*key);
        }
    }

    /// Forgets what memory holds for `key`.
    pub fn forget(&self, key: &K) {
        self.memory.invalidate(key);
    }

    /// Bytes remembered now.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.memory.run_pending_tasks();
        self.memory.weighted_size()
    }

    /// Outcomes remembered now.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.memory.entry_count()
    }

    /// Flights under way now.
    #[must_use]
    pub fn flights(&self) -> usize {
        lock(&self.flights).len()
    }
}

enum Boarded<V> {
    Started(Flight<V>),
    /// Another request's, whose span it is.
    Joined(Flight<V>, traces::SpanLink),
    Landed(V),
    Full,
}

/// What everyone on a flight waits for. A task that ended without an outcome panicked; the panic hook has said where.
fn arrival<K, V: Outcome<K>>(landed: oneshot::Receiver<V>) -> Flight<V> {
    landed.map(|outcome| outcome.unwrap_or_else(|_| V::aborted())).boxed().shared()
}

impl<V> Remembered<V> {
    /// The clock is only asked where it matters.
    fn is_fresh(&self) -> bool {
        self.stale_at.is_none_or(|at| Instant::now() < at)
    }
}

/// Takes a flight out of the map when its task ends, however it ends.
struct Listed<K: Hash + Eq, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    number: u64,
}

impl<K, V> Listed<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Outcome<K>,
{
    /// Remembers the outcome, unless the flight has been disowned, and takes it out of the map.
    fn land(self, memory: &Memory<K, V>, outcome: &V) {
        let stale_at = match outcome.keep() {
            Keep::Fresh(time) => Instant::now().checked_add(time),
            Keep::UntilEvicted | Keep::For(_) | Keep::Never => None,
        };
        // The map is locked meanwhile: a flight cannot be disowned between the look and the memory.
        let flights = lock(&self.flights);
        let is_owned = flights.get(&self.key).is_some_and(|listing| listing.number == self.number);
        if is_owned && outcome.keep() != Keep::Never {
            memory.insert(self.key.clone(), Remembered { outcome: outcome.clone(), stale_at });
        }
        drop(flights);
        // Evict now: left to itself moka does it later, and would be over its limit until then.
        memory.run_pending_tasks();
    }
}

impl<K: Hash + Eq, V> Drop for Listed<K, V> {
    fn drop(&mut self) {
        let mut flights = lock(&self.flights);
        if flights.get(&self.key).is_some_and(|listing| listing.number == self.number) {
            flights.remove(&self.key);
        }
    }
}

/// The map is whole at every unlock, so a thread that panicked while it held the lock left nothing broken behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks each outcome how long it keeps.
struct KeepAsLong;

impl<K, V: Outcome<K>> moka::Expiry<K, Remembered<V>> for KeepAsLong {
    fn expire_after_create(&self, _: &K, kept: &Remembered<V>, _: Instant) -> Option<Duration> {
        match kept.outcome.keep() {
            Keep::UntilEvicted | Keep::Fresh(_) => None,
            Keep::For(time) => Some(time),
            Keep::Never => Some(Duration::ZERO),
        }
    }

    fn expire_after_update(
        &self,
        key: &K,
        kept: &Remembered<V>,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, kept, now)
    }
}
