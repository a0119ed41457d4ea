//! An in-memory cache that runs at most one task per missing key.
//!
//! A [`Cache`] limits the total size of its values in bytes and evicts the least recently used value first. A missing
//! or stale key starts a *flight*: one task that makes the value while all other requests for the key wait for it. The
//! task is detached from the request that started it, so a client that disconnects cannot cancel work that others wait
//! for. If a flight panics, its waiters get [`CacheValue::panicked`]. This module does not depend on images or stores:
//! a value reports its size and its retention through [`CacheValue`].

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

/// The result of a flight, a success or an error. It must be cheap to clone.
pub trait CacheValue<K>: Clone + Send + Sync + 'static {
    /// Bytes that the value and its key occupy in memory.
    fn weight(&self, key: &K) -> usize;
    /// How long the value may be served from memory.
    fn retention(&self) -> Retention;
    /// The value for the waiters of a flight that panicked.
    fn panicked() -> Self;
    /// The value for a request that would exceed the limit of flights.
    fn overloaded() -> Self;
}

/// How long a value is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Until it is evicted.
    UntilEvicted,
    /// Until it is evicted, but it is served only for this long. After that, the next request starts a flight, which
    /// gets the stale value to revalidate it, replace it or fall back on it.
    FreshFor(Duration),
    /// At most this long.
    ExpireAfter(Duration),
    /// Not at all: the next request starts a flight.
    Never,
}

/// How a request got its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedFrom {
    /// From memory.
    Memory,
    /// From a flight that this request started.
    OwnFlight,
    /// From a flight that another request had started.
    JoinedFlight,
}

type Memory<K, V> = moka::sync::Cache<K, CacheEntry<V>, RandomState>;
type Flight<V> = Shared<BoxFuture<'static, V>>;
type Flights<K, V> = Mutex<HashMap<K, ActiveFlight<V>, RandomState>>;

#[derive(Debug, Clone)]
struct CacheEntry<V> {
    value: V,
    /// When the value becomes stale; `None` means never.
    stale_at: Option<Instant>,
}

/// A running flight. The id distinguishes it from a later flight for the same key, which can start after an
/// invalidation.
struct ActiveFlight<V> {
    id: u64,
    flight: Flight<V>,
    span: traces::SpanLink,
}

static NEXT_FLIGHT_ID: AtomicU64 = AtomicU64::new(0);

/// A cache with its running flights. Clones share both.
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
    V: CacheValue<K>,
{
    /// An empty cache of at most `bytes_max` bytes that runs at most `flights_max` flights at once on `tasks`.
    /// `evictions` counts values that were evicted to make room.
    #[must_use]
    pub fn new(bytes_max: u64, flights_max: usize, tasks: Tasks, evictions: Counter) -> Self {
        let memory = moka::sync::Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|key: &K, entry: &CacheEntry<V>| u32::try_from(entry.value.weight(key)).unwrap_or(u32::MAX))
            .eviction_policy(moka::policy::EvictionPolicy::lru())
            .expire_after(RetentionExpiry)
            .eviction_listener(move |_, _, cause| {
                if cause == moka::notification::RemovalCause::Size {
                    evictions.inc();
                }
            })
            .build_with_hasher(RandomState::default());
        Self { memory, flights: Arc::default(), flights_max, tasks }
    }

    /// The fresh value for `key`, if memory holds one.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.memory.get(key).filter(CacheEntry::is_fresh).map(|entry| entry.value)
    }

    /// The value from memory, or the result of the flight for `key`. `make` is called only to start a flight; it gets
    /// the stale value that memory holds, if any.
    pub async fn get_or_make<F>(&self, key: &K, make: impl FnOnce(Option<V>) -> F) -> (V, ServedFrom)
    where
        F: Future<Output = V> + Send + 'static,
    {
        if let Some(value) = self.get(key) {
            return (value, ServedFrom::Memory);
        }
        match self.join_or_start(key, make) {
            FlightEntry::Started(flight) => (flight.await, ServedFrom::OwnFlight),
            FlightEntry::Joined(flight, span) => (traces::wait_span(&span, flight).await, ServedFrom::JoinedFlight),
            FlightEntry::Completed(value) => (value, ServedFrom::Memory),
            FlightEntry::Full => (V::overloaded(), ServedFrom::OwnFlight),
        }
    }

    fn join_or_start<F>(&self, key: &K, make: impl FnOnce(Option<V>) -> F) -> FlightEntry<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let id = NEXT_FLIGHT_ID.fetch_add(1, Ordering::Relaxed);
        let (flight, stale, span) = {
            let mut flights = lock(&self.flights);
            if let Some(active) = flights.get(key) {
                return FlightEntry::Joined(active.flight.clone(), active.span.clone());
            }
            // A flight puts its value into memory before it leaves the map, so a flight that ended since the first
            // lookup is seen here.
            let stale = match self.memory.get(key) {
                Some(entry) if entry.is_fresh() => return FlightEntry::Completed(entry.value),
                entry => entry.map(|entry| entry.value),
            };
            if flights.len() >= self.flights_max {
                return FlightEntry::Full;
            }
            let (flight, span) = (shared_result::<K, V>(receiver), traces::child_span("flight"));
            flights.insert(key.clone(), ActiveFlight { id, flight: flight.clone(), span: span.link() });
            (flight, stale, span)
        };
        self.spawn(key.clone(), id, span.instrument(make(stale)), sender);
        FlightEntry::Started(flight)
    }

    fn spawn(&self, key: K, id: u64, make: impl Future<Output = V> + Send + 'static, sender: oneshot::Sender<V>) {
        // The guard exists before the task, so the flight leaves the map even if the task is dropped before its first
        // poll.
        let guard = FlightGuard { flights: self.flights.clone(), key, id };
        let memory = self.memory.clone();
        self.tasks.spawn(async move {
            let value = make.await;
            guard.complete(&memory, &value);
            // Sending fails if all waiters have disconnected; the value is in memory by then.
            let _ = sender.send(value);
        });
    }

    /// Removes all values whose keys match, and detaches the running flights for matching keys. The waiters of a
    /// detached flight still get its result, but the result is not kept, and later requests start new flights. The call
    /// visits every key in memory.
    pub fn invalidate_matching(&self, matches: impl Fn(&K) -> bool) {
        // Flights are detached first: a flight that ends later does not insert its value. The value of a flight that
        // ended earlier is removed below.
        lock(&self.flights).retain(|key, _| !matches(key));
        let removed: Vec<_> = self.memory.iter().map(|(key, _)| key).filter(|key| matches(key)).collect();
        for key in removed {
            self.memory.invalidate(&*key);
        }
    }

    /// Removes the value for `key` from memory.
    pub fn invalidate(&self, key: &K) {
        self.memory.invalidate(key);
    }

    /// Bytes in use.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.memory.run_pending_tasks();
        self.memory.weighted_size()
    }

    /// Number of values in memory.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.memory.entry_count()
    }

    /// Number of running flights.
    #[must_use]
    pub fn flights(&self) -> usize {
        lock(&self.flights).len()
    }
}

enum FlightEntry<V> {
    Started(Flight<V>),
    /// A flight of another request, with the span of that request.
    Joined(Flight<V>, traces::SpanLink),
    Completed(V),
    Full,
}

/// The future that all waiters of a flight share. The sender is dropped without a value only if the task panicked; the
/// panic hook has logged its location.
fn shared_result<K, V: CacheValue<K>>(receiver: oneshot::Receiver<V>) -> Flight<V> {
    receiver.map(|value| value.unwrap_or_else(|_| V::panicked())).boxed().shared()
}

impl<V> CacheEntry<V> {
    /// Reads the clock only for values that can become stale.
    fn is_fresh(&self) -> bool {
        self.stale_at.is_none_or(|at| Instant::now() < at)
    }
}

/// Removes a flight from the map when its task completes, panics or is dropped.
struct FlightGuard<K: Hash + Eq, V> {
    flights: Arc<Flights<K, V>>,
    key: K,
    id: u64,
}

impl<K, V> FlightGuard<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: CacheValue<K>,
{
    /// Puts the value into memory, unless the key was invalidated during the flight, and removes the flight from the
    /// map.
    fn complete(self, memory: &Memory<K, V>, value: &V) {
        let stale_at = match value.retention() {
            Retention::FreshFor(time) => Instant::now().checked_add(time),
            Retention::UntilEvicted | Retention::ExpireAfter(_) | Retention::Never => None,
        };
        // The lock is held across the insertion, so that no invalidation runs between the check and the insertion.
        let flights = lock(&self.flights);
        let is_attached = flights.get(&self.key).is_some_and(|active| active.id == self.id);
        if is_attached && value.retention() != Retention::Never {
            memory.insert(self.key.clone(), CacheEntry { value: value.clone(), stale_at });
        }
        drop(flights);
        // moka evicts lazily: without this call, the cache could exceed its limit for a while.
        memory.run_pending_tasks();
    }
}

impl<K: Hash + Eq, V> Drop for FlightGuard<K, V> {
    fn drop(&mut self) {
        let mut flights = lock(&self.flights);
        if flights.get(&self.key).is_some_and(|active| active.id == self.id) {
            flights.remove(&self.key);
        }
    }
}

/// Ignores poisoning: the map is consistent at every unlock, even after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes the retention of each value to moka.
struct RetentionExpiry;

impl<K, V: CacheValue<K>> moka::Expiry<K, CacheEntry<V>> for RetentionExpiry {
    fn expire_after_create(&self, _: &K, entry: &CacheEntry<V>, _: Instant) -> Option<Duration> {
        match entry.value.retention() {
            Retention::UntilEvicted | Retention::FreshFor(_) => None,
            Retention::ExpireAfter(time) => Some(time),
            Retention::Never => Some(Duration::ZERO),
        }
    }

    fn expire_after_update(
        &self,
        key: &K,
        entry: &CacheEntry<V>,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, entry, now)
    }
}
