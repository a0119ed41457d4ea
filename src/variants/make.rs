//! A flight: find the variant in its store, or make it and write it back.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;

use super::lookup::Lookup;
use super::resources::Works;

use super::batch::Made;
use super::invalidation_log::Purges;
use super::lease::{Claim, Lease};
use super::memory_budget::Ticket;
use super::rate_limit::Rates;
use super::rendition::{Answer, Detail, Location, Provenance, Rendition, Steps, fingerprint};
use super::write_back::{Write, Written};
use crate::config::{Config, Mode};
use crate::origin::{Attributes, Precondition, Store};
use crate::proxy::error::Failure;
use crate::proxy::response_headers::Policy;
use crate::resize::{self, Limits, PIPELINE};
use crate::support::error_chain::chain;
use crate::support::tasks::Tasks;
use crate::variant::{ObjectKey, Variant};

/// Everything that a flight needs.
#[derive(Debug)]
pub(crate) struct Maker {
    pub(crate) originals: Store,
    pub(crate) variants: Store,
    pub(crate) works: Works,
    pub(crate) policy: Arc<Policy>,
    pub(crate) purges: Arc<Purges>,
    pub(crate) tasks: Tasks,
    pub(crate) mode: Mode,
    /// Whether originals never change under their keys, so that nothing need be looked at again.
    pub(crate) immutable: bool,
    pub(crate) limits: Limits,
    pub(crate) original_bytes_max: u64,
    pub(crate) flight_time: Duration,
}

/// The metadata that a stored variant carries.
pub(crate) const META_ORIGINAL_ETAG: &str = "resized-original-etag";
pub(crate) const META_PIPELINE: &str = "resized-pipeline";
pub(crate) const META_FINGERPRINT: &str = "resized-fingerprint";

/// How often a variant is looked for and made while other nodes are first each time, with what is not to be used.
const ATTEMPTS: usize = 3;

/// A downloaded original and its right to the memory.
pub(crate) struct Original {
    pub(crate) bytes: Bytes,
    pub(crate) etag: Box<str>,
    pub(crate) _ticket: Ticket,
}

impl Maker {
    /// One of these settings that works with what there is.
    pub(crate) fn new(
        config: &Config,
        works: Works,
        originals: Store,
        variants: Store,
        policy: Arc<Policy>,
        tasks: Tasks,
        purges: Arc<Purges>,
    ) -> Self {
        Self {
            works: works.limited_to(&config.rates),
            purges,
            tasks,
            mode: config.answers.mode,
            immutable: config.originals.immutable,
            limits: resize::limits(config),
            original_bytes_max: config.limits.original_bytes.as_u64(),
            flight_time: config.work.flight_time,
            originals,
            variants,
            policy,
        }
    }

    /// What the next maker goes on with.
    pub(crate) fn works(&self) -> Works {
        self.works.clone()
    }

    /// What clients may do in a minute, and what may be made.
    pub(crate) fn rates(&self) -> &Rates {
        &self.works.rates
    }

    /// The whole flight, within its time, which `client` began. `stale` is what memory has, if it has to be looked after;
    /// where the store fails, it is the answer still.
    pub(crate) async fn make(self: Arc<Self>, variant: Variant, client: IpAddr, stale: Option<Answer>) -> Answer {
        let mut steps = Steps::default();
        let flight = self.renew_or_make(&variant, client, stale.as_ref(), &mut steps);
        let failure = match tokio::time::timeout(self.flight_time, flight).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(failure)) => failure,
            Err(_) => {
                tracing::error!(original = %variant.original, "a flight took longer than work.flight_time");
                Failure::StoreSlow
            }
        };
        match (failure, stale) {
            (Failure::StoreFailed | Failure::StoreSlow, Some(stale)) if stale.original_etag().is_some() => {
                stale.stale(&self.policy, steps)
            }
            (failure, _) => Answer::Failed { failure, remembered: self.policy.brief },
        }
    }

    async fn renew_or_make(
        self: &Arc<Self>,
        variant: &Variant,
        client: IpAddr,
        stale: Option<&Answer>,
        steps: &mut Steps,
    ) -> Result<Answer, Failure> {
        let key = variant.storage_key();
        if let Some(stale) = stale {
            let as_of = Instant::now();
            if self.is_current(stale, &key, variant, steps).await? {
                return Ok(stale.renewed(&self.policy, as_of, steps.clone()));
            }
        }
        for attempt in 0..ATTEMPTS {
            let (precondition, lease) = match self.find_or_claim(&key, variant, steps).await? {
                (Lookup::Found(answer), _) => return Ok(answer),
                (Lookup::Make(precondition), lease) => (precondition, lease),
            };
            // What replaces an older one fills no bucket.
            if attempt == 0 && precondition == Precondition::Absent {
                self.works.rates.make(&variant.original, client)?;
            }
            if let Some(answer) = self.make_and_store(&key, variant, precondition, lease, steps).await? {
                return Ok(answer);
            }
        }
        tracing::warn!(%key, "other nodes store it of other originals each time it is made");
        Err(Failure::Overloaded)
    }

    /// Makes the variant and answers with it. `None` where the answer is what is stored and another node was first: that has
    /// to be looked at.
    ///
    /// The original may be replaced meanwhile. What was made then is of the former one, says so by its ETag, and is no
    /// answer to whoever looks after it: memory does after `cache.revalidate_after`, reckoned from when the original was read,
    /// and a lookup always. So nothing is asked between reading it and storing what was made of it.
    async fn make_and_store(
        self: &Arc<Self>,
        key: &ObjectKey,
        variant: &Variant,
        precondition: Precondition,
        lease: Option<Arc<Lease>>,
        steps: &mut Steps,
    ) -> Result<Option<Answer>, Failure> {
        let Made { bytes, original_etag, as_of, began, .. } = self.together(variant, steps).await?;
        let origin = Provenance { detail: Detail::Made, steps: steps.clone(), original_etag, as_of: began };
        let attributes = self.attributes(variant, &origin.original_etag, &bytes);
        let original = variant.original.clone();
        let write = Write { key: key.clone(), bytes: bytes.clone(), attributes, precondition, original, as_of, lease };
        self.finish(variant, bytes, origin, write, steps).await
    }

    /// The variant if it is stored; else the right to make it, where nodes agree on that.
    async fn find_or_claim(
        &self,
        key: &ObjectKey,
        variant: &Variant,
        steps: &mut Steps,
    ) -> Result<(Lookup, Option<Arc<Lease>>), Failure> {
        let found = self.look_up(key, variant, steps).await?;
        let wait = self.works.leases.as_ref().and_then(|leases| leases.wait(key));
        let (Lookup::Make(_), Some(mut wait)) = (&found, wait) else { return Ok((found, None)) };
        loop {
            let claim = steps.time("lease", wait.claim()).await;
            // Whether the wait is over or not, another node may have stored it meanwhile.
            let found = self.look_up(key, variant, steps).await?;
            match (&found, claim) {
                (Lookup::Found(_), _) | (Lookup::Make(_), Claim::Forgone) => return Ok((found, None)),
                (Lookup::Make(_), Claim::Held(lease)) => return Ok((found, Some(Arc::new(lease)))),
                (Lookup::Make(_), Claim::Taken) => {}
            }
        }
    }

    /// Answers with the bytes and stores them behind the answer; or stores them and then says where they are. `None` if
    /// what is there is another node's.
    async fn finish(
        &self,
        variant: &Variant,
        bytes: Bytes,
        mut origin: Provenance,
        write: Write,
        steps: &mut Steps,
    ) -> Result<Option<Answer>, Failure> {
        let rendition = |bytes: Bytes, origin| {
            let media_type = variant.encoding.format().media_type();
            let fingerprint = fingerprint(&bytes);
            Rendition::new(&self.policy, media_type, bytes, &fingerprint, SystemTime::now(), origin)
        };
        if self.mode == Mode::Stream {
            self.works.write_back.later(write);
            return Ok(Some(Answer::Rendition(Arc::new(rendition(bytes, origin)?))));
        }
        let key = write.key.clone();
        let written = steps.time("store", self.works.write_back.now(write)).await;
        origin.steps = steps.clone();
        match written {
            Ok(Written::Stored) => return self.location(&key, &fingerprint(&bytes), origin).map(Some),
            Ok(Written::Preceded) => return Ok(None),
            Ok(Written::Void) => tracing::debug!(%key, "purged while it was made; its bytes are sent"),
            Err(error) => {
                tracing::error!(%key, error = chain(&error), "a variant could not be stored; its bytes are sent");
            }
        }
        // An answer to those who wait and to nobody after them.
        Ok(Some(Answer::Rendition(Arc::new(rendition(bytes, origin)?.passing(&self.policy)))))
    }

    /// The variant's public URL.
    pub(crate) fn location(&self, key: &ObjectKey, version: &str, origin: Provenance) -> Result<Answer, Failure> {
        let base = self.variants.public_url(key).ok_or(Failure::Internal)?;
        Ok(Answer::Location(Arc::new(Location::new(&self.policy, &base, version, origin)?)))
    }

    fn attributes(&self, variant: &Variant, original_etag: &str, bytes: &[u8]) -> Attributes {
        Attributes {
            content_type: variant.encoding.format().media_type().to_owned(),
            cache_control: self.policy.cache_control.to_str().unwrap_or_default().to_owned(),
            metadata: vec![
                (META_ORIGINAL_ETAG.to_owned(), original_etag.to_owned()),
                (META_PIPELINE.to_owned(), PIPELINE.to_owned()),
                (META_FINGERPRINT.to_owned(), fingerprint(bytes)),
            ],
        }
    }

    /// Finishes the resize jobs that have begun and ends the threads.
    pub(crate) fn stop(&self) {
        self.works.resizer.shutdown();
    }
}
