//! A flight: finds the variant in its store, or makes it and writes it back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::batch::run::BatchRunner;
use super::batch::{BatchClient, Demand, FormatChoice, MadeVariant};
use super::error::Error;
use super::later::LateState;
use super::later::make::mark_unless_smaller;
use super::rendition::cached::CachedVariant;
use super::rendition::delivery::{DeliveryBuilder, VariantBytes, fingerprint};
use super::rendition::{Acquisition, Delivery, Provenance};
use super::resources::SharedResources;
use super::revalidation::Revalidating;
use super::store::lease::{Claim, Lease};
use super::store::lookup::{
    Fetch, Lookup, META_FINGERPRINT, META_GAIN_MAP, META_ORIGINAL_ETAG, META_PIPELINE, StoredBody, StoredVariant,
    StoredVariants,
};
use super::store::write_back::{VariantWrite, WriteOutcome};
use super::timings::Timings;
use crate::cache::Late;
use crate::config::Mode;
use crate::origin::{Attributes, Precondition, StoreError};
use crate::resize::PIPELINE;
use crate::support::error_chain::chain;
use crate::variant::{ObjectKey, Variant};

/// Runs flights.
#[derive(Debug)]
pub(super) struct VariantMaker {
    pub(super) stored: StoredVariants,
    pub(super) runner: Arc<BatchRunner>,
    pub(super) delivery: DeliveryBuilder,
    pub(super) mode: Mode,
    /// `Cache-Control` of stored variants.
    pub(super) cache_control: String,
    pub(super) flight_timeout: Duration,
}

/// How [`super::Variants::ensure_stored`] succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnsureStored {
    /// The store had a current variant.
    AlreadyStored,
    /// The variant was made, and the store has confirmed the write.
    Made,
}

/// Why [`super::Variants::ensure_stored`] failed.
#[derive(Debug, thiserror::Error)]
pub enum EnsureStoredError {
    /// The variant could not be made.
    #[error(transparent)]
    Variant(#[from] Error),
    /// The variant was made, but the write failed.
    #[error("the variant was made, but could not be stored")]
    Write(#[from] StoreError),
    /// The original was purged while the variant was made.
    #[error("the original was purged while the variant was made")]
    Purged,
}

/// Attempts before giving up when other nodes keep storing variants of a different version of the original.
pub(super) const ATTEMPTS: usize = 3;

/// The content of memory at the start of a flight.
pub(super) enum FlightStart {
    /// Nothing. The signal tells the requests that can use another format that the variant has to be made.
    Missing(Late),
    /// A delivery that it revalidates.
    Cached(Revalidating),
}

/// The task of making a variant: the precondition of its write, and the lease if nodes coordinate by leases.
pub(super) struct MakeTask {
    precondition: Precondition,
    lease: Option<Arc<Lease>>,
}

/// Result of a lookup after waiting for the lease.
pub(super) enum FoundOrClaimed {
    Found(StoredVariant),
    Claimed(MakeTask),
}

impl VariantMaker {
    /// Runs a flight that a request of `client` started. A delivery in memory that it revalidates is kept if the flight fails.
    pub(super) async fn make(
        self: Arc<Self>,
        variant: Variant,
        (client, choice): (IpAddr, FormatChoice),
        start: FlightStart,
    ) -> CachedVariant {
        let (started, mut timings) = (Instant::now(), Timings::default());
        let demand = Demand { client: BatchClient::Charged(client), choice };
        let flight = self.revalidate_or_make(&variant, demand, &start, &mut timings);
        let error = match self.log_if_late(&variant, flight).await {
            Ok(delivery) => return CachedVariant::Found(delivery),
            Err(error) => error,
        };
        let freshness = &self.delivery.freshness;
        match (start, &error) {
            (FlightStart::Cached(Revalidating { delivery, .. }), _) if error.allows_stale() => {
                CachedVariant::Found(delivery.unconfirmed(freshness, timings))
            }
            (_, Error::MadeLater(state)) => {
                let ttl = state.ttl(freshness).saturating_sub(started.elapsed());
                self.failed(error, ttl)
            }
            _ => self.failed(error, freshness.error_ttl(started)),
        }
    }

    async fn revalidate_or_make(
        &self,
        variant: &Variant,
        demand: Demand,
        start: &FlightStart,
        timings: &mut Timings,
    ) -> Result<Delivery, Error> {
        let key = variant.storage_key();
        // The future is large, so it is boxed: while a store hangs, many flights check what memory holds.
        let cached = match start {
            FlightStart::Missing(late) => {
                return Box::pin(self.find_or_make(&key, variant, (demand, Some(late)), timings)).await;
            }
            FlightStart::Cached(cached) => cached,
        };
        let checked_at = Instant::now();
        if self.is_current(cached, &key, variant, timings).await? {
            return Ok(cached.delivery.revalidated(&self.delivery.freshness, checked_at, timings.clone()));
        }
        let making = Box::pin(self.find_or_make(&key, variant, (demand.free(), None), timings));
        self.while_stores_answer(cached, making).await
    }

    /// Finds the variant in its store, or makes it at the cost of the client. Only new variants are charged. `late` is announced
    /// if the variant has to be made.
    async fn find_or_make(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        (demand, late): (Demand, Option<&Late>),
        timings: &mut Timings,
    ) -> Result<Delivery, Error> {
        let fetch = match self.mode {
            Mode::Stream => Fetch::Bytes,
            Mode::Redirect => Fetch::Metadata,
        };
        if demand.choice == FormatChoice::Later {
            return match self.stored.lookup(key, variant, fetch, timings).await? {
                Lookup::Found(stored) => self.choose_stored(key, variant, (stored, demand.choice), timings),
                Lookup::Missing(_) => Err(Error::MadeLater(LateState::NotYet)),
            };
        }
        for attempt in 0..ATTEMPTS {
            let task = match self.find_or_claim(key, variant, (fetch, late), timings).await? {
                FoundOrClaimed::Found(stored) => {
                    return self.choose_stored(key, variant, (stored, demand.choice), timings);
                }
                FoundOrClaimed::Claimed(task) => task,
            };
            // Replacing a stored variant does not grow the bucket, so it is not rate limited.
            let payer = match demand.client {
                BatchClient::Charged(client) if attempt == 0 && task.precondition == Precondition::Absent => {
                    self.resources().rate_limits.check_new_variant(&variant.original, client)?;
                    demand
                }
                BatchClient::Charged(_) | BatchClient::Free(_) | BatchClient::Operator => demand.free(),
            };
            if let Some(delivery) = self.make_and_store(key, variant, (task, payer), timings).await? {
                return Ok(delivery);
            }
        }
        tracing::warn!(%key, "gave up: other nodes keep storing variants of other versions of the original");
        Err(Error::Overloaded)
    }

    /// Delivers a stored variant, unless negotiation uses another format instead.
    fn choose_stored(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        (stored, choice): (StoredVariant, FormatChoice),
        timings: &Timings,
    ) -> Result<Delivery, Error> {
        if stored.has_gain_map {
            self.runner.gain_maps.record(&variant.original, true);
        }
        match (choice, stored.not_smaller_than) {
            (FormatChoice::Accept | FormatChoice::Later, _) if stored.has_gain_map => Err(Error::HasGainMap),
            (FormatChoice::Later, Some(format)) => Err(Error::MadeLater(LateState::NotSmallerThan(format))),
            _ => self.deliver_stored(key, variant, stored, timings),
        }
    }

    /// Makes the variant, unless the store has a current one, and waits until the store has confirmed the write. Like a
    /// flight, the work continues after the timeout.
    pub(super) async fn ensure_stored(
        self: &Arc<Self>,
        variant: &Variant,
        smaller: Option<&Variant>,
    ) -> Result<EnsureStored, EnsureStoredError> {
        let (this, variant, smaller) = (self.clone(), variant.clone(), smaller.cloned());
        let ensured = self.resources().tasks.spawn(async move {
            if let Some(smaller) = &smaller {
                this.find_or_store(smaller, None).await?;
            }
            this.find_or_store(&variant, smaller.as_ref()).await
        });
        match tokio::time::timeout(self.flight_timeout, ensured).await {
            Ok(Ok(ensured)) => ensured,
            Ok(Err(_panicked)) => Err(Error::Internal.into()),
            Err(_) => Err(Error::FlightTimeout.into()),
        }
    }

    /// Runs a flight to its end, and logs if its requests do not wait that long.
    async fn log_if_late<T>(&self, variant: &Variant, flight: impl Future<Output = T>) -> T {
        let mut flight = std::pin::pin!(flight);
        if let Ok(made) = tokio::time::timeout(self.flight_timeout, &mut flight).await {
            return made;
        }
        tracing::error!(original = %variant.original, "variant timed out (work.flight_time)");
        flight.await
    }

    async fn find_or_store(
        &self,
        variant: &Variant,
        smaller: Option<&Variant>,
    ) -> Result<EnsureStored, EnsureStoredError> {
        let (key, mut timings) = (variant.storage_key(), Timings::default());
        for _ in 0..ATTEMPTS {
            let task = match self.find_or_claim(&key, variant, (Fetch::Metadata, None), &mut timings).await? {
                FoundOrClaimed::Found(_) => return Ok(EnsureStored::AlreadyStored),
                FoundOrClaimed::Claimed(task) => task,
            };
            let made = self.runner.make(variant, Demand::OPERATOR, &mut timings).await?;
            let mut write = self.prepare_write(&key, variant, &made, &fingerprint(&made.bytes), task);
            if let Some(smaller) = smaller {
                let bytes = self.stored_bytes(smaller, &made.original_etag).await;
                mark_unless_smaller(&mut write, smaller, bytes);
            }
            write.bytes = self.resources().variant_memory.charge_made(made.bytes, made.memory).await?;
            match self.resources().write_back.write(write).await? {
                WriteOutcome::Stored => return Ok(EnsureStored::Made),
                WriteOutcome::LostRace => {}
                WriteOutcome::Invalidated => return Err(EnsureStoredError::Purged),
            }
        }
        Err(Error::Overloaded.into())
    }

    /// Makes the variant and delivers it. `None` if the delivery is a redirect and another node stored the variant
    /// first: then the variant has to be looked up again.
    ///
    /// The original may be replaced while the variant is made. The variant then has the ETag of the older original, and
    /// a later check replaces it: a cached variant is checked after `cache.revalidate_after`, counted from a time
    /// before the original was read, and each lookup checks the stored variant. Therefore, the original is not checked
    /// again between reading it and storing the variant.
    async fn make_and_store(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        (task, demand): (MakeTask, Demand),
        timings: &mut Timings,
    ) -> Result<Option<Delivery>, Error> {
        let made = self.runner.make(variant, demand, timings).await?;
        let fingerprint = fingerprint(&made.bytes);
        let write = self.prepare_write(key, variant, &made, &fingerprint, task);
        let mut provenance = Provenance {
            acquisition: Acquisition::Made,
            timings: timings.clone(),
            original_etag: made.original_etag,
            has_gain_map: made.has_gain_map,
            not_smaller_than: None,
            checked_at: made.checked_at,
        };
        let SharedResources { write_back, variant_memory, .. } = self.resources();
        let charged = variant_memory.charge_made(made.bytes, made.memory).await;
        if self.mode == Mode::Stream {
            // The queue has a separate share of memory, so the variant is stored even if there is no memory for its response.
            write_back.enqueue(write, charged.as_ref().ok());
            let bytes = VariantBytes { bytes: charged?, fingerprint, last_modified: SystemTime::now() };
            let rendition = self.delivery.rendition(variant, bytes, provenance)?;
            return Ok(Some(Delivery::Rendition(Arc::new(rendition))));
        }
        let charged = charged?;
        let write = VariantWrite { bytes: charged.clone(), ..write };
        let outcome = timings.time("store", write_back.write(write)).await;
        provenance.timings = timings.clone();
        match outcome {
            Ok(WriteOutcome::Stored) => {
                let redirect = self.delivery.redirect(key, &fingerprint, provenance)?;
                return Ok(Some(Delivery::Redirect(Arc::new(redirect))));
            }
            Ok(WriteOutcome::LostRace) => return Ok(None),
            Ok(WriteOutcome::Invalidated) => {
                tracing::debug!(%key, "original was purged while the variant was made; sending the bytes");
            }
            Err(error) => {
                tracing::error!(%key, error = chain(&error), "variant could not be stored; sending the bytes");
            }
        }
        let bytes = VariantBytes { bytes: charged, fingerprint, last_modified: SystemTime::now() };
        let rendition = self.delivery.rendition(variant, bytes, provenance)?.uncacheable();
        Ok(Some(Delivery::Rendition(Arc::new(rendition))))
    }

    /// Looks the variant up. If it is missing and nodes coordinate by leases, waits until another node has stored it or
    /// this node holds the lease.
    pub(super) async fn find_or_claim(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        (fetch, late): (Fetch, Option<&Late>),
        timings: &mut Timings,
    ) -> Result<FoundOrClaimed, Error> {
        let precondition = match self.stored.lookup(key, variant, fetch, timings).await? {
            Lookup::Found(stored) => return Ok(FoundOrClaimed::Found(stored)),
            Lookup::Missing(precondition) => precondition,
        };
        if let Some(late) = late {
            late.announce();
        }
        let waiter = self.resources().leases.as_ref().and_then(|leases| leases.waiter(key));
        let Some(mut waiter) = waiter else {
            return Ok(FoundOrClaimed::Claimed(MakeTask { precondition, lease: None }));
        };
        loop {
            let claim = timings.time("lease", waiter.claim()).await;
            // Another node may have stored the variant during the attempt, even if this node holds the lease now.
            let precondition = match self.stored.lookup(key, variant, fetch, timings).await? {
                Lookup::Found(stored) => return Ok(FoundOrClaimed::Found(stored)),
                Lookup::Missing(precondition) => precondition,
            };
            let lease = match claim {
                Claim::Held(lease) => Some(Arc::new(lease)),
                Claim::Unavailable => None,
                Claim::Taken => continue,
            };
            return Ok(FoundOrClaimed::Claimed(MakeTask { precondition, lease }));
        }
    }

    fn deliver_stored(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        stored: StoredVariant,
        timings: &Timings,
    ) -> Result<Delivery, Error> {
        let StoredVariant { body, version, original_etag, checked_at, is_confirmed, has_gain_map, not_smaller_than } =
            stored;
        let timings = timings.clone();
        let provenance = Provenance {
            acquisition: Acquisition::Stored,
            timings,
            original_etag,
            has_gain_map,
            not_smaller_than,
            checked_at,
        };
        let delivery = match body {
            StoredBody::NotRead => Delivery::Redirect(Arc::new(self.delivery.redirect(key, &version, provenance)?)),
            StoredBody::Read(bytes) => {
                Delivery::Rendition(Arc::new(self.delivery.rendition(variant, bytes, provenance)?))
            }
            StoredBody::Large(object) => {
                Delivery::Stored(Arc::new(self.delivery.stored(key, variant, object, provenance)?))
            }
        };
        if is_confirmed {
            return Ok(delivery);
        }
        // The original is checked again soon.
        Ok(delivery.stale(&self.delivery.freshness, delivery.timings().clone()))
    }

    pub(super) fn prepare_write(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        made: &MadeVariant,
        fingerprint: &str,
        MakeTask { precondition, lease }: MakeTask,
    ) -> VariantWrite {
        let metadata =
            [(META_ORIGINAL_ETAG, &*made.original_etag), (META_PIPELINE, PIPELINE), (META_FINGERPRINT, fingerprint)];
        let gain_map = made.has_gain_map.then_some((META_GAIN_MAP, "true"));
        let metadata = metadata.into_iter().chain(gain_map);
        VariantWrite {
            key: key.clone(),
            bytes: made.bytes.clone(),
            attributes: Attributes {
                content_type: variant.encoding.format().media_type().to_owned(),
                cache_control: self.cache_control.clone(),
                metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            },
            precondition,
            original: variant.original.clone(),
            epoch: made.epoch,
            lease,
        }
    }

    /// An error that is kept for `ttl`, if it is lasting and memory has room for it.
    fn failed(&self, error: Error, ttl: Duration) -> CachedVariant {
        let permit = if error.is_lasting() { self.resources().variant_memory.try_acquire(0) } else { None };
        CachedVariant::Failed { error, ttl, permit: permit.map(Arc::new) }
    }

    pub(super) fn resources(&self) -> &SharedResources {
        &self.runner.resources
    }
}
