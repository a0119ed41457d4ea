//! Leases, so that only one of several nodes makes a missing variant. A lease is an object next to the variant, taken
//! by a conditional write.
//!
//! Leases only avoid duplicate work. If the store fails or ignores preconditions, more than one node makes the variant.
//! The holder renews its lease several times per `fleet.lease_time`, as long as it works on the variant. Another node
//! takes over a lease that was not renewed for that time, because its holder has crashed. Each waiting node measures
//! the time since it first saw the current state of the lease, so the clocks of the nodes need not agree.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::config;
use crate::observability::metrics;
use crate::origin::{Attributes, Precondition, PutOutcome, Store, StoreError};
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
    /// The store failed, or the wait took too long.
    Unavailable,
}

/// A node that waits for one lease.
#[derive(Debug)]
pub(in crate::variants) struct LeaseWaiter<'a> {
    leases: &'a Leases,
    key: ObjectKey,
    /// ETag of the lease when it was last read, and when this ETag was first seen.
    last_seen: Option<(Box<str>, Instant)>,
    last_change: Instant,
    attempts: u32,
    /// True once the lease of a crashed holder was claimed.
    takes_over: bool,
}

/// Pauses between attempts.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), max: Duration::from_millis(400) };
/// A waiter gives up if the lease does not change for this many lease times.
const GIVE_UP_LEASE_TIMES: u32 = 3;
/// Renewals per lease time.
const RENEWALS: u32 = 4;

impl Leases {
    /// `None` if `fleet.lease` is off.
    pub(in crate::variants) fn new(
        fleet: &config::Fleet,
        store: Store,
        tasks: Tasks,
        metrics: metrics::LeaseMetrics,
    ) -> Option<Self> {
        fleet.lease.then(|| Self { store, lease_time: fleet.lease_time, tasks, metrics })
    }

    /// A waiter for the lease of the object `variant`; `None` if the key of the lease would be too long.
    pub(in crate::variants) fn waiter(&self, variant: &ObjectKey) -> Option<LeaseWaiter<'_>> {
        // A variant cannot have this key, because "lease" is not a format.
        let key = ObjectKey::new(&format!("{variant}.lease")).ok()?;
        Some(LeaseWaiter {
            leases: self,
            key,
            last_seen: None,
            last_change: Instant::now(),
            attempts: 0,
            takes_over: false,
        })
    }

    /// Renews the lease on a background task until the returned guard is dropped, then deletes it.
    fn hold(&self, key: ObjectKey, mut etag: Box<str>) -> Lease {
        let (release, mut released) = oneshot::channel();
        let this = self.clone();
        self.tasks.spawn(async move {
            while tokio::time::timeout(this.lease_time / RENEWALS, &mut released).await.is_err() {
                match this.put(&key, Precondition::Matches(etag.clone())).await {
                    Ok(Some(renewed)) => etag = renewed,
                    // Another node has taken the lease over, so there is nothing to release.
                    Ok(None) => return,
                    Err(error) => tracing::debug!(%key, %error, "lease not renewed"),
                }
            }
            if let Err(error) = this.store.delete(&key, Some(&etag)).await {
                tracing::warn!(%key, error = chain(&error), "lease could not be released; it will expire");
            }
        });
        Lease { _release: release }
    }

    /// Writes the lease and returns its ETag; `None` if the precondition failed.
    async fn put(&self, key: &ObjectKey, precondition: Precondition) -> Result<Option<Box<str>>, StoreError> {
        let owner = hex::encode(&random_bytes::<16>());
        // A random body gives each lease a different ETag. The process id helps an operator who inspects the bucket.
        let body = Bytes::from(format!("process {} of {owner}\n", std::process::id()));
        let attributes =
            Attributes { content_type: "text/plain".into(), cache_control: "no-store".into(), metadata: Vec::new() };
        match self.store.put(key, body, &attributes, precondition).await? {
            PutOutcome::Stored(etag) => Ok(Some(etag)),
            PutOutcome::PreconditionFailed => Ok(None),
        }
    }
}

impl LeaseWaiter<'_> {
    /// Makes one attempt. If another node holds the lease, the attempt ends after a pause, during which that node may
    /// have stored the variant.
    pub(in crate::variants) async fn claim(&mut self) -> Claim {
        let metrics = &self.leases.metrics;
        match self.try_claim().await {
            Ok(Some(etag)) => {
                if self.takes_over {
                    metrics.taken_over.inc()
                } else {
                    metrics.held.inc()
                };
                return Claim::Held(self.leases.hold(self.key.clone(), etag));
            }
            Ok(None) if self.last_change.elapsed() < self.leases.lease_time * GIVE_UP_LEASE_TIMES => {}
            Ok(None) => {
                metrics.unavailable.inc();
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

    /// ETag of the lease if this node holds it now.
    async fn try_claim(&mut self) -> Result<Option<Box<str>>, StoreError> {
        if self.attempts == 0
            && let Some(etag) = self.put(Precondition::Absent).await?
        {
            return Ok(Some(etag));
        }
        let Some(meta) = self.leases.store.head(&self.key).await? else {
            self.last_seen = None;
            return self.put(Precondition::Absent).await;
        };
        match &self.last_seen {
            Some((etag, since)) if *etag == meta.etag => {
                if since.elapsed() < self.leases.lease_time {
                    return Ok(None);
                }
                tracing::warn!(key = %self.key, "lease was not renewed in time; taking it over");
                self.takes_over = true;
                self.put(Precondition::Matches(meta.etag)).await
            }
            _ => {
                self.last_change = Instant::now();
                self.last_seen = Some((meta.etag, self.last_change));
                Ok(None)
            }
        }
    }

    async fn put(&self, precondition: Precondition) -> Result<Option<Box<str>>, StoreError> {
        self.leases.put(&self.key, precondition).await
    }
}
