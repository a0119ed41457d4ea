//! The running flights of a cache. Each key has at most one.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{CacheValue, ServedFrom};
use crate::observability::traces;

type Flight<V> = Shared<BoxFuture<'static, V>>;

/// The flights by key. Clones share them.
pub(super) struct Flights<K, V>(Arc<Mutex<FlightMap<K, V>>>);

/// The locked map. The lock is never held across an await.
pub(super) struct FlightMap<K, V> {
    active: HashMap<K, ActiveFlight<V>, RandomState>,
    /// Number of active flights that revalidate a value in memory.
    revalidations: usize,
}

/// A running flight. The id distinguishes it from a later flight for the same key, which can start after an
/// invalidation.
struct ActiveFlight<V> {
    id: u64,
    flight: Flight<V>,
    span: traces::SpanLink,
    purpose: FlightPurpose,
    late: Late,
}

/// The work of a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FlightPurpose {
    /// It makes a missing value.
    Make,
    /// It revalidates a value in memory.
    Revalidate,
}

/// How long a request waits for a flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    ToTheEnd,
    /// Until the flight ends or is [`Late`].
    UnlessLate,
}

static NEXT_FLIGHT_ID: AtomicU64 = AtomicU64::new(0);

/// Tells the requests that wait for a flight that they should use another value instead, such as the stale one in memory. Clones share
/// the signal.
#[derive(Debug, Clone, Default)]
pub struct Late(CancellationToken);

impl Late {
    /// Ends the waits, and those of later requests that join the flight.
    pub fn announce(&self) {
        self.0.cancel();
    }
}

/// A flight that has been entered into the map, but whose task has not been spawned yet.
pub(super) struct NewFlight<K: Hash + Eq, V> {
    pub(super) guard: FlightGuard<K, V>,
    pub(super) sender: oneshot::Sender<V>,
    pub(super) span: traces::Span,
    pub(super) waiter: FlightWaiter<V>,
}

/// A request's handle to a flight. Dropping it does not end the flight.
pub struct FlightWaiter<V> {
    flight: Flight<V>,
    /// Span of the request that started the flight; `None` if this request started it.
    joined: Option<traces::SpanLink>,
    late: Late,
}

impl<V: Clone> FlightWaiter<V> {
    /// The result of the flight.
    pub async fn result(self) -> (V, ServedFrom) {
        match self.joined {
            None => (self.flight.await, ServedFrom::OwnFlight),
            Some(span) => (traces::wait_span(&span, self.flight).await, ServedFrom::JoinedFlight),
        }
    }

    /// The result of the flight; `None` once the flight is [`Late`].
    pub async fn result_unless_late(self) -> Option<(V, ServedFrom)> {
        let Late(late) = self.late.clone();
        tokio::select! {
            biased;
            result = self.result() => Some(result),
            () = late.cancelled() => None,
        }
    }
}

impl<K, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(FlightMap { active: HashMap::default(), revalidations: 0 })))
    }
}

impl<K, V> Flights<K, V> {
    /// Ignores poisoning: the map is consistent at every unlock, even after a panic.
    pub(super) fn lock(&self) -> MutexGuard<'_, FlightMap<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Flights<K, V>
where
    K: Hash + Eq + Clone,
    V: CacheValue<K>,
{
    /// Enters a flight for `key`, which has none, into the locked map. Its owner announces `late`.
    pub(super) fn enter(
        &self,
        map: &mut FlightMap<K, V>,
        key: &K,
        (purpose, late): (FlightPurpose, Late),
    ) -> NewFlight<K, V> {
        let (sender, receiver) = oneshot::channel();
        let flight = shared_result::<K, V>(receiver);
        let id = NEXT_FLIGHT_ID.fetch_add(1, Ordering::Relaxed);
        let span = traces::child_span("flight");
        map.revalidations += usize::from(purpose == FlightPurpose::Revalidate);
        let active = ActiveFlight { id, flight: flight.clone(), span: span.link(), purpose, late: late.clone() };
        map.active.insert(key.clone(), active);
        let guard = FlightGuard { flights: self.clone(), key: key.clone(), id };
        NewFlight { guard, sender, span, waiter: FlightWaiter { flight, joined: None, late } }
    }
}

impl<K: Hash + Eq, V> FlightMap<K, V> {
    /// A handle to the flight for `key`, if one is running.
    pub(super) fn join(&self, key: &K) -> Option<FlightWaiter<V>> {
        let ActiveFlight { flight, span, late, .. } = self.active.get(key)?;
        Some(FlightWaiter { flight: flight.clone(), joined: Some(span.clone()), late: late.clone() })
    }

    /// Number of flights.
    pub(super) fn len(&self) -> usize {
        self.active.len()
    }

    /// Number of flights that revalidate a value in memory.
    pub(super) fn revalidations(&self) -> usize {
        self.revalidations
    }

    /// Removes the flights for all matching keys. They continue, but their results are not kept.
    pub(super) fn detach_matching(&mut self, matches: impl Fn(&K) -> bool) {
        let Self { active, revalidations } = self;
        active.retain(|key, flight| {
            let is_kept = !matches(key);
            *revalidations -= usize::from(!is_kept && flight.purpose == FlightPurpose::Revalidate);
            is_kept
        });
    }

    /// Removes the flight for `key`, if there is one.
    pub(super) fn detach(&mut self, key: &K) {
        if let Some(flight) = self.active.remove(key) {
            self.revalidations -= usize::from(flight.purpose == FlightPurpose::Revalidate);
        }
    }
}

/// Removes a flight from the map when its task completes, panics or is dropped.
pub(super) struct FlightGuard<K: Hash + Eq, V> {
    flights: Flights<K, V>,
    key: K,
    id: u64,
}

impl<K: Hash + Eq, V> FlightGuard<K, V> {
    /// Calls `keep` with the key, unless the flight was detached, and removes the flight from the map. The map is locked
    /// during the call, so no invalidation runs between the check and the call.
    pub(super) fn complete(self, keep: impl FnOnce(&K)) {
        let map = self.flights.lock();
        if map.active.get(&self.key).is_some_and(|active| active.id == self.id) {
            keep(&self.key);
        }
    }
}

impl<K: Hash + Eq, V> Drop for FlightGuard<K, V> {
    fn drop(&mut self) {
        let mut map = self.flights.lock();
        if map.active.get(&self.key).is_some_and(|active| active.id == self.id) {
            map.detach(&self.key);
        }
    }
}

/// The future that all waiters of a flight share. The sender is dropped without a value only if the task panicked; the
/// panic hook has logged its location.
fn shared_result<K, V: CacheValue<K>>(receiver: oneshot::Receiver<V>) -> Flight<V> {
    receiver.map(|value| value.unwrap_or_else(|_| V::panicked())).boxed().shared()
}
