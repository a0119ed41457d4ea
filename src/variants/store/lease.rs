//! Leases, so that only one of several nodes makes a missing variant. A lease is an object next to the variant, taken
//! by a conditional write.
//!
//! Leases only avoid duplicate work. If the store fails or ignores preconditions, more than one node makes the variant.
//! The holder renews its lease several times per `fleet.lease_time`, as long as it works on the variant. Another node
//! takes over a lease that was not renewed for that time, because its holder has crashed. Each node measures the time
//! since it first saw the current state of a lease, for all flights together, so the clocks of the nodes need not
//! agree and a flight that follows another one does not wait again.
//!
//! The body of a lease names its owner. A write whose response was lost is recognized by it, so that a node neither
//! waits for its own lease nor leaves it behind.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::config;
use crate::observability::metrics;
use crate::origin::{Attributes, DeleteOutcome, Precondition, PutOutcome, Store, StoreError};
use crate::support::backoff::{Backoff, jitter, random_bytes};
use crate::support::error_chain::chain;
use crate::support::hex;
use crate::support::tasks::Tasks;
use crate::variant::ObjectKey;

/// Leases in the variants' store.
#[derive(Debug, Clone)]
pub(in crate::variants) struct Leases {
    store: Store,
    /// A lease that is not renewed for this time may be taken over.
    lease_time: Duration,
    tasks: Tasks,
    metrics: metrics::LeaseMetrics,
    /// The leases of other nodes that flights of this node wait for.
    sightings: Arc<Mutex<HashMap<ObjectKey, Sighting>>>,
}

/// The state of a lease, and when this node first saw it.
#[derive(Debug, Clone)]
struct Sighting {
    etag: Box<str>,
    since: Instant,
}

/// A held lease; dropping it releases it.
#[derive(Debug)]
pub(in crate::variants) struct Lease {
    _release: oneshot::Sender<()>,
}

/// Result of an attempt to get a lease.
#[derive(Debug)]
pub(in crate::variants) enum Claim {
    Held(Lease),
    /// Another node holds the lease. The attempt included a pause.
    Taken,
    /// The store failed, or does not let an expired lease be taken over.
    Unavailable,
}

/// A node that waits for one lease.
#[derive(Debug)]
pub(in crate::variants) struct LeaseWaiter<'a> {
    leases: &'a Leases,
    key: ObjectKey,
    owner: Owner,
    attempts: u32,
    /// The state of the lease that this waiter tried to take over.
    expired: Option<Box<str>>,
}

/// A random name in the bodies of the leases that one waiter writes.
#[derive(Debug, Clone)]
struct Owner(String);

/// Result of an attempt without a pause.
enum Attempt {
    /// This node holds the lease, which has this ETag.
    Held(Box<str>),
    Taken,
    /// The store refuses to replace an expired lease.
    Stuck,
}

/// Pauses between attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), max: Duration::from_millis(400) };
/// Renewals per lease time.
const RENEWALS: u32 = 4;
/// Limit of a lease's body. Leases have about 60 bytes.
const BODY_BYTES_MAX: u64 = 1024;
/// Limit of sightings. The oldest ones are dropped first.
const SIGHTINGS_MAX: usize = 4096;

impl Leases {
    /// `None` if `fleet.lease` is off.
    pub(in crate::variants) fn new(
        fleet: &config::Fleet,
        store: Store,
        tasks: Tasks,
        metrics: metrics::LeaseMetrics,
    ) -> Option<Self> {
        let lease_time = fleet.lease_time;
        fleet.lease.then(|| Self { store, lease_time, tasks, metrics, sightings: Arc::default() })
    }

    /// A waiter for the lease of the object `variant`; `None` if the key of the lease would be too long.
    pub(in crate::variants) fn waiter(&self, variant: &ObjectKey) -> Option<LeaseWaiter<'_>> {
        // A variant cannot have this key, because "lease" is not a format.
        let key = ObjectKey::new(&format!("{variant}.lease")).ok()?;
        Some(LeaseWaiter { leases: self, key, owner: Owner::new(), attempts: 0, expired: None })
    }

    /// Renews the lease on a background task until the returned guard is dropped, then deletes it.
    fn hold(&self, key: ObjectKey, owner: Owner, mut etag: Box<str>) -> Lease {
        let (release, mut released) = oneshot::channel();
        let this = self.clone();
        self.tasks.spawn(async move {
            while tokio::time::timeout(this.lease_time / RENEWALS, &mut released).await.is_err() {
                match this.put(&key, &owner, Precondition::Matches(etag.clone())).await {
                    Ok(Some(renewed)) => etag = renewed,
                    Ok(None) => match this.find_own(&key, &owner).await {
                        Ok(Some(current)) => etag = current,
                        // Another node has taken the lease over, so there is nothing to release.
                        Ok(None) => return,
                        Err(error) => tracing::debug!(%key, %error, "lease not renewed"),
                    },
                    Err(error) => tracing::debug!(%key, %error, "lease not renewed"),
                }
            }
            if let Err(error) = this.release(&key, &owner, &etag).await {
                tracing::warn!(%key, error = chain(&error), "lease could not be released; it will expire");
            }
        });
        Lease { _release: release }
    }

    /// Deletes a lease of `owner`. If the response to its last renewal was lost, it has another ETag than `etag`.
    async fn release(&self, key: &ObjectKey, owner: &Owner, etag: &str) -> Result<(), StoreError> {
        if self.store.delete(key, Some(etag)).await? == DeleteOutcome::PreconditionFailed
            && let Some(current) = self.find_own(key, owner).await?
        {
            self.store.delete(key, Some(&current)).await?;
        }
        Ok(())
    }

    /// ETag of the lease if it belongs to `owner`.
    async fn find_own(&self, key: &ObjectKey, owner: &Owner) -> Result<Option<Box<str>>, StoreError> {
        let found = self.store.get_bounded(key, BODY_BYTES_MAX).await?;
        Ok(found.filter(|(_, body)| owner.wrote(body)).map(|(meta, _)| meta.etag))
    }

    /// Writes the lease and returns its ETag; `None` if the precondition failed.
    async fn put(
        &self,
        key: &ObjectKey,
        owner: &Owner,
        precondition: Precondition,
    ) -> Result<Option<Box<str>>, StoreError> {
        let attributes =
            Attributes { content_type: "text/plain".into(), cache_control: "no-store".into(), metadata: Vec::new() };
        match self.store.put(key, owner.body(), &attributes, precondition).await? {
            PutOutcome::Stored(etag) => Ok(Some(etag)),
            PutOutcome::PreconditionFailed => Ok(None),
        }
    }

    /// The time for which a lease has had the state `etag`, as far as this node knows.
    fn unchanged_for(&self, key: &ObjectKey, etag: &str) -> Duration {
        let mut sightings = self.sightings();
        if let Some(sighting) = sightings.get(key).filter(|sighting| *sighting.etag == *etag) {
            return sighting.since.elapsed();
        }
        if sightings.len() >= SIGHTINGS_MAX {
            let oldest = sightings.iter().min_by_key(|(_, sighting)| sighting.since).map(|(key, _)| key.clone());
            oldest.map(|oldest| sightings.remove(&oldest));
        }
        sightings.insert(key.clone(), Sighting { etag: etag.into(), since: Instant::now() });
        Duration::ZERO
    }

    /// Ignores poisoning: the map is consistent at every unlock.
    fn sightings(&self) -> MutexGuard<'_, HashMap<ObjectKey, Sighting>> {
        self.sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    fn new() -> Self {
        Self(hex::encode(&random_bytes::<16>()))
    }

    /// Each body is different, so that each state of a lease has another ETag. The process id helps an operator who
    /// inspects the bucket.
    fn body(&self) -> Bytes {
        let (process, unique) = (std::process::id(), hex::encode(&random_bytes::<8>()));
        format!("process {process} of {} {unique}\n", self.0).into()
    }

    fn wrote(&self, body: &[u8]) -> bool {
        std::str::from_utf8(body).is_ok_and(|body| body.contains(&self.0))
    }
}

impl LeaseWaiter<'_> {
    /// Makes one attempt. If another node holds the lease, the attempt ends after a pause, during which that node may
    /// have stored the variant.
    pub(in crate::variants) async fn claim(&mut self) -> Claim {
        let metrics = &self.leases.metrics;
        match self.try_claim().await {
            Ok(Attempt::Held(etag)) => {
                self.leases.sightings().remove(&self.key);
                if self.expired.is_some() {
                    metrics.taken_over.inc()
                } else {
                    metrics.held.inc()
                };
                return Claim::Held(self.leases.hold(self.key.clone(), self.owner.clone(), etag));
            }
            Ok(Attempt::Taken) => {}
            Ok(Attempt::Stuck) => {
                metrics.unavailable.inc();
                tracing::warn!(key = %self.key, "store does not replace an expired lease; making the variant without it");
                return Claim::Unavailable;
            }
            Err(error) => {
                metrics.unavailable.inc();
                tracing::warn!(key = %self.key, error = chain(&error), "lease unavailable; making the variant without it");
                return Claim::Unavailable;
            }
        }
        if self.attempts == 0 {
            metrics.waited.inc();
        }
        self.attempts = self.attempts.saturating_add(1);
        let half = BACKOFF.pause(self.attempts) / 2;
        // Nodes that wait for the same lease retry at different times.
        tokio::time::sleep(half + jitter(half)).await;
        Claim::Taken
    }

    async fn try_claim(&mut self) -> Result<Attempt, StoreError> {
        if self.attempts == 0
            && let Some(etag) = self.put(Precondition::Absent).await?
        {
            return Ok(Attempt::Held(etag));
        }
        let Some((meta, body)) = self.leases.store.get_bounded(&self.key, BODY_BYTES_MAX).await? else {
            self.expired = None;
            return Ok(self.put(Precondition::Absent).await?.map_or(Attempt::Taken, Attempt::Held));
        };
        if self.owner.wrote(&body) {
            return Ok(Attempt::Held(meta.etag));
        }
        if self.leases.unchanged_for(&self.key, &meta.etag) < self.leases.lease_time {
            self.expired = None;
            return Ok(Attempt::Taken);
        }
        if self.expired.as_ref() == Some(&meta.etag) {
            return Ok(Attempt::Stuck);
        }
        tracing::warn!(key = %self.key, "lease was not renewed in time; taking it over");
        self.expired = Some(meta.etag.clone());
        Ok(self.put(Precondition::Matches(meta.etag)).await?.map_or(Attempt::Taken, Attempt::Held))
    }

    async fn put(&self, precondition: Precondition) -> Result<Option<Box<str>>, StoreError> {
        self.leases.put(&self.key, &self.owner, precondition).await
    }
}
