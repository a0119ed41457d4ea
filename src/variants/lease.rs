//! The right to make a variant, so that of many nodes one does: an object beside the variant, taken by a conditional write.
//!
//! It saves work and nothing depends on it: a store that fails, or that ignores conditions, only lets more than one node
//! make the variant. Its holder renews it several times in `fleet.lease_time`, however slow it is; one that was not renewed for
//! so long is taken over: its holder crashed. Time is measured by the one who waits, from when it first saw the lease as it
//! is, so clocks need not agree.

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
pub(crate) struct Leases {
    variants: Store,
    time: Duration,
    tasks: Tasks,
    counts: metrics::LeaseMetrics,
}

/// A lease that is held; given up when dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    _held: oneshot::Sender<()>,
}

/// How a try to get a lease ended.
#[derive(Debug)]
pub(crate) enum Claim {
    Held(Lease),
    /// Another node has it; a pause has been made.
    Taken,
    /// There is none to be had: the store fails, or it took too long.
    Forgone,
}

/// One node's wait for one lease.
#[derive(Debug)]
pub(crate) struct Wait<'a> {
    leases: &'a Leases,
    key: ObjectKey,
    /// The lease as it was last seen, and since when.
    seen: Option<(Box<str>, Instant)>,
    /// When something last changed.
    changed: Instant,
    tries: u32,
    /// Whether it was asked for in place of a holder who gives no sign.
    takes_over: bool,
}

/// Pauses between attempts to acquire a lease.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(50), max: Duration::from_millis(400) };
/// A node gives up waiting after this many lease times without any change.
const PATIENCE_TIMES: u32 = 3;
/// How often a holder renews its lease in the time after which it would be taken over.
const RENEWALS: u32 = 4;

impl Leases {
    /// `None` if config wants none.
    pub(crate) fn new(
        fleet: &config::Fleet,
        variants: Store,
        tasks: Tasks,
        counts: metrics::LeaseMetrics,
    ) -> Option<Self> {
        fleet.lease.then(|| Self { variants, time: fleet.lease_time, tasks, counts })
    }

    /// Begins to wait for the right to make the variant that is stored under `variant`; `None` if its key is too long for
    /// another beside it.
    pub(crate) fn wait(&self, variant: &ObjectKey) -> Option<Wait<'_>> {
        // No variant is called so: "lease" is no format.
        let key = ObjectKey::new(&format!("{variant}.lease")).ok()?;
        Some(Wait { leases: self, key, seen: None, changed: Instant::now(), tries: 0, takes_over: false })
    }

    /// Renews the lease on a task of its own until it is dropped, and gives it up then.
    fn hold(&self, key: ObjectKey, mut etag: Box<str>) -> Lease {
        let (held, mut given_up) = oneshot::channel();
        let this = self.clone();
        self.tasks.spawn(async move {
            while tokio::time::timeout(this.time / RENEWALS, &mut given_up).await.is_err() {
                match this.put(&key, Precondition::Matches(etag.clone())).await {
                    Ok(Some(renewed)) => etag = renewed,
                    // Another node has it: there is nothing to give up.
                    Ok(None) => return,
                    Err(error) => tracing::debug!(%key, %error, "a lease was not renewed"),
                }
            }
            if let Err(error) = this.variants.delete(&key, Some(&etag)).await {
                tracing::warn!(%key, error = chain(&error), "a lease could not be given up; it will expire");
            }
        });
        Lease { _held: held }
    }

    /// The lease's ETag if it is ours now.
    async fn put(&self, key: &ObjectKey, precondition: Precondition) -> Result<Option<Box<str>>, StoreError> {
        let owner = hex::encode(&random_bytes::<16>());
        // Another body each time gives each lease an ETag of its own. The process is for whoever looks into the bucket.
        let body = Bytes::from(format!("process {} of {owner}\n", std::process::id()));
        let attributes =
            Attributes { content_type: "text/plain".into(), cache_control: "no-store".into(), metadata: Vec::new() };
        match self.variants.put(key, body, &attributes, precondition).await? {
            PutOutcome::Stored(etag) => Ok(Some(etag)),
            PutOutcome::PreconditionFailed => Ok(None),
        }
    }
}

impl Wait<'_> {
    /// One try. Where another node has the lease it ends after a pause, and the variant may be there by then.
    pub(crate) async fn claim(&mut self) -> Claim {
        match self.try_claim().await {
            Ok(Some(etag)) => {
                let counts = &self.leases.counts;
                if self.takes_over {
                    counts.taken_over.inc()
                } else {
                    counts.held.inc()
                };
                return Claim::Held(self.leases.hold(self.key.clone(), etag));
            }
            Ok(None) if self.changed.elapsed() < self.leases.time * PATIENCE_TIMES => {}
            Ok(None) => {
                self.leases.counts.unavailable.inc();
                return Claim::Forgone;
            }
            Err(error) => {
                self.leases.counts.unavailable.inc();
                tracing::warn!(key = %self.key, error = chain(&error), "a lease cannot be had; going on without");
                return Claim::Forgone;
            }
        }
        if self.tries == 0 {
            self.leases.counts.waited.inc();
        }
        self.tries = self.tries.saturating_add(1);
        let half = BACKOFF.pause(self.tries) / 2;
        // Nodes that wait for the same lease retry at different times.
        tokio::time::sleep(half + jitter(half)).await;
        Claim::Taken
    }

    /// The lease's ETag if it is ours.
    async fn try_claim(&mut self) -> Result<Option<Box<str>>, StoreError> {
        if self.tries == 0
            && let Some(etag) = self.put(Precondition::Absent).await?
        {
            return Ok(Some(etag));
        }
        let Some(meta) = self.leases.variants.head(&self.key).await? else {
            self.seen = None;
            return self.put(Precondition::Absent).await;
        };
        match &self.seen {
            Some((etag, since)) if *etag == meta.etag => {
                if since.elapsed() < self.leases.time {
                    return Ok(None);
                }
                tracing::warn!(key = %self.key, "a lease was not renewed in its time; it is taken over");
                self.takes_over = true;
                self.put(Precondition::Matches(meta.etag)).await
            }
            _ => {
                self.changed = Instant::now();
                self.seen = Some((meta.etag, self.changed));
                Ok(None)
            }
        }
    }

    async fn put(&self, precondition: Precondition) -> Result<Option<Box<str>>, StoreError> {
        self.leases.put(&self.key, precondition).await
    }
}
