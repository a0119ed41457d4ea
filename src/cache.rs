//! An in-memory cache that runs at most one task per missing key.
//!
//! A [`Cache`] limits the total size of its values in bytes and evicts the least recently used value first. A missing
//! key starts a *flight*: one task that makes the value while all other requests for the key wait for it. A value that
//! is stale, or soon will be, starts a flight that revalidates it. A flight is detached from the request that started
//! it, so a client that disconnects cannot cancel work that others wait for. If a flight panics, its waiters get
//! [`CacheValue::panicked`]. This module does not depend on images or stores: a value reports its size and its retention
//! through [`CacheValue`].

use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::observability::metrics::Counter;
use crate::support::tasks::Tasks;

mod entry;
mod flights;
#[cfg(test)]
mod tests;

pub use entry::{Age, Cached, Schedule};
pub use flights::{FlightWaiter, Late, Wait};

use entry::{CacheEntry, RetentionExpiry};
use flights::{FlightPurpose, Flights, NewFlight};

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
    /// Until it is evicted, but it is revalidated at the times of the schedule.
    Revalidate(Schedule),
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
    /// From memory, although the value is stale.
    StaleMemory,
    /// From a flight that this request started.
    OwnFlight,
    /// From a flight that another request had started.
    JoinedFlight,
}

/// Result of a request to revalidate a value in memory.
pub enum Revalidation<V> {
    /// A flight is running; this request started or joined it.
    Running(FlightWaiter<V>),
    /// No flight was started, because too many revalidations are running.
    TooMany,
    /// Memory changed since the request looked the value up: the value was renewed or removed.
    Superseded,
}

type Memory<K, V> = moka::sync::Cache<K, CacheEntry<V>, RandomState>;

/// A cache with its running flights. Clones share both.
pub struct Cache<K, V> {
    memory: Memory<K, V>,
    flights: Flights<K, V>,
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
    /// An empty cache of at most `bytes_max` bytes. At most `flights_max` flights make missing values at once on
    /// `tasks`. `evictions` counts values that were evicted to make room.
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
        Self { memory, flights: Flights::default(), flights_max, tasks }
    }

    /// The value for `key`, fresh or stale, if memory holds one.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<Cached<V>> {
        self.memory.get(key).map(Cached::from)
    }

    /// The fresh value from memory, or the result of the flight for `key`. `make` is called only to start a flight.
    pub async fn get_or_make<F>(&self, key: &K, make: impl FnOnce() -> F) -> (V, ServedFrom)
    where
        F: Future<Output = V> + Send + 'static,
    {
        match self.find_or_start(key, |_| make()) {
            FlightEntry::Running(waiter) => waiter.result().await,
            FlightEntry::Completed(value) => (value, ServedFrom::Memory),
            FlightEntry::Full => (V::overloaded(), ServedFrom::OwnFlight),
        }
    }

    /// Like [`Self::get_or_make`]. `make` gets a signal by which the flight tells the requests with [`Wait::UnlessLate`] not to
    /// wait for it any longer. They get `None`.
    pub async fn get_or_make_unless_late<F>(
        &self,
        key: &K,
        wait: Wait,
        make: impl FnOnce(Late) -> F,
    ) -> Option<(V, ServedFrom)>
    where
        F: Future<Output = V> + Send + 'static,
    {
        match (self.find_or_start(key, make), wait) {
            (FlightEntry::Running(waiter), Wait::ToTheEnd) => Some(waiter.result().await),
            (FlightEntry::Running(waiter), Wait::UnlessLate) => waiter.result_unless_late().await,
            (FlightEntry::Completed(value), _) => Some((value, ServedFrom::Memory)),
            (FlightEntry::Full, _) => Some((V::overloaded(), ServedFrom::OwnFlight)),
        }
    }

    fn find_or_start<F>(&self, key: &K, make: impl FnOnce(Late) -> F) -> FlightEntry<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        match self.fresh(key) {
            Some(value) => FlightEntry::Completed(value),
            None => self.join_or_start(key, make),
        }
    }

    fn fresh(&self, key: &K) -> Option<V> {
        self.get(key).filter(|cached| cached.age.is_fresh()).map(|cached| cached.value)
    }

    fn join_or_start<F>(&self, key: &K, make: impl FnOnce(Late) -> F) -> FlightEntry<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let late = Late::default();
        let flight = {
            let mut flights = self.flights.lock();
            if let Some(waiter) = flights.join(key) {
                return FlightEntry::Running(waiter);
            }
            // A flight puts its value into memory before it leaves the map, so a flight that ended since the first
            // lookup is seen here.
            if let Some(value) = self.fresh(key) {
                return FlightEntry::Completed(value);
            }
            if flights.len() - flights.revalidations() >= self.flights_max {
                return FlightEntry::Full;
            }
            self.flights.enter(&mut flights, key, (FlightPurpose::Make, late.clone()))
        };
        FlightEntry::Running(self.spawn(flight, make(late)))
    }

    /// Joins the flight for `key`, or starts one if a revalidation of the value in memory is due and fewer than
    /// `running_max` revalidations are running. They do not count towards the limit of flights that make missing values.
    /// `make` gets the value, and a signal by which the flight tells its waiters not to wait for it any longer.
    pub fn revalidate<F>(&self, key: &K, running_max: usize, make: impl FnOnce(V, Late) -> F) -> Revalidation<V>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let (value, late, flight) = {
            let mut flights = self.flights.lock();
            if let Some(waiter) = flights.join(key) {
                return Revalidation::Running(waiter);
            }
            let Some(Cached { value, .. }) = self.get(key).filter(|cached| cached.age.is_due()) else {
                return Revalidation::Superseded;
            };
            if flights.revalidations() >= running_max {
                return Revalidation::TooMany;
            }
            let late = Late::default();
            (value, late.clone(), self.flights.enter(&mut flights, key, (FlightPurpose::Revalidate, late)))
        };
        Revalidation::Running(self.spawn(flight, make(value, late)))
    }

    fn spawn(&self, flight: NewFlight<K, V>, make: impl Future<Output = V> + Send + 'static) -> FlightWaiter<V> {
        let NewFlight { guard, sender, span, waiter } = flight;
        let memory = self.memory.clone();
        let make = span.instrument(make);
        // The task owns the guard, so the flight leaves the map even if the task is dropped before its first poll.
        self.tasks.spawn(async move {
            let value = make.await;
            guard.complete(|key| {
                if let Some(entry) = CacheEntry::new(&value) {
                    memory.insert(key.clone(), entry);
                }
            });
            // moka evicts lazily: without this call, the cache could exceed its limit for a while.
            memory.run_pending_tasks();
            // Sending fails if all waiters have disconnected; the value is in memory by then.
            let _ = sender.send(value);
        });
        waiter
    }

    /// Removes all values whose keys match, and detaches the running flights for matching keys. The waiters of a
    /// detached flight still get its result, but the result is not kept, and later requests start new flights. The call
    /// visits every key in memory.
    pub fn invalidate_matching(&self, matches: impl Fn(&K) -> bool) {
        // Flights are detached first: a flight that ends later does not insert its value. The value of a flight that
        // ended earlier is removed below.
        self.flights.lock().detach_matching(&matches);
        let removed: Vec<_> = self.memory.iter().map(|(key, _)| key).filter(|key| matches(key)).collect();
        // A request may have started to revalidate one of the old values meanwhile, so its flight is detached too.
        let mut flights = self.flights.lock();
        for key in removed {
            flights.detach(&*key);
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

    /// Frees values that were evicted or removed. One call may leave some of them, because other threads could still be
    /// reading them.
    pub fn free_evicted(&self) {
        self.memory.run_pending_tasks();
    }

    /// Number of values in memory.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.memory.entry_count()
    }

    /// Number of running flights.
    #[must_use]
    pub fn flights(&self) -> usize {
        self.flights.lock().len()
    }
}

enum FlightEntry<V> {
    Running(FlightWaiter<V>),
    Completed(V),
    Full,
}
