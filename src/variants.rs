//! Gets a variant: from memory, from its store, or by making it from its original.
//!
//! [`Variants::get`] looks the variant up in memory first, and revalidates it there. A miss starts a flight, which looks
//! it up in the variants' store; if the variant is missing there, it is made from the original and written back.
//! Concurrent requests share a flight, and variants of one original share its download and decoding. This module does not handle HTTP requests or
//! responses. Only the response headers of a cached variant are prebuilt, by the [`PrebuildHeaders`] implementation of
//! the HTTP layer.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::time::Instant;

use crate::cache::{Age, Cache, Cached, ServedFrom, Wait};
use crate::config::Config;
use crate::observability::metrics::{self, Gauge, Metrics};
use crate::origin::Store;
use crate::resize;
use crate::variant::{Format, ObjectKey, Variant};

mod batch;
mod error;
mod gain_maps;
mod later;
mod make;
mod memory;
mod parts;
mod rate_limit;
mod rendition;
mod resources;
mod revalidation;
mod sanitized;
mod slow_share;
mod store;
mod timings;

pub use batch::preview::Preview;
pub use error::Error;
pub use later::{LateState, NegotiatedVariant};
pub use make::{EnsureStored, EnsureStoredError};
pub use parts::VariantsParts;
pub use rate_limit::{RateLimitExceeded, RateLimitKind};
pub use rendition::{
    Acquisition, Delivery, PrebuildHeaders, Redirect, Rendition, RenditionFacts, StoredRendition, Validators,
};
pub use store::lookup::{is_made_from, not_smaller_than};
pub use store::purge::{PurgeError, delete_stored};
pub use timings::Timings;

use batch::FormatChoice;
use batch::run::BatchRunner;
use gain_maps::GainMapOriginals;
use later::queue::LateVariants;
use make::{FlightStart, VariantMaker};
use rendition::Freshness;
use rendition::cached::CachedVariant;
use rendition::delivery::DeliveryBuilder;
use resources::SharedResources;
use sanitized::SanitizedSvgs;
use store::lookup::StoredVariants;

/// Gets variants. Clones share memory, flights and all resources.
#[derive(Debug, Clone)]
pub struct Variants {
    cache: Cache<Variant, CachedVariant>,
    sanitized: SanitizedSvgs,
    late: LateVariants,
    maker: Arc<VariantMaker>,
    store: Store,
    metrics: metrics::PurgeMetrics,
}

/// A variant and where it came from.
#[derive(Debug)]
pub struct FoundVariant {
    pub delivery: Delivery,
    pub served_from: ServedFrom,
    /// True if a later request for the same URL is expected to get another format, which is made in the background.
    pub is_interim: bool,
}

/// Maximum number of flights that a request joins whose results it cannot use.
const UNUSABLE_FLIGHTS_MAX: usize = 8;

impl FoundVariant {
    fn new(delivery: Delivery, served_from: ServedFrom) -> Self {
        Self { delivery, served_from, is_interim: false }
    }

    /// True if a flight found the variant, but its original was checked so long ago that it was stale at `time` already.
    fn was_outdated_at(&self, time: Instant) -> bool {
        match self.served_from {
            ServedFrom::OwnFlight | ServedFrom::JoinedFlight => self.delivery.was_stale_at(time),
            ServedFrom::Memory | ServedFrom::StaleMemory => false,
        }
    }
}

impl Variants {
    /// An empty cache in front of the two stores. Registers its gauges in `metrics`.
    #[must_use]
    pub fn new(parts: VariantsParts<'_>) -> Self {
        let flights_max = parts.tuning.flights_max;
        let cache = Cache::new(parts.cache_bytes, flights_max, parts.tasks.clone(), parts.metrics.evictions.clone());
        let resources = SharedResources::new(&parts, cache.clone());
        let late = LateVariants::new(&parts, cache.clone());
        let sanitized = SanitizedSvgs::new(&parts.memory, parts.tuning, parts.tasks.clone());
        let VariantsParts { config, originals, variants, headers, metrics, .. } = parts;
        register_gauges(&cache, metrics);
        let maker = Arc::new(maker(config, originals, variants.clone(), resources, headers));
        Self { cache, sanitized, late, maker, store: variants, metrics: metrics.purges.clone() }
    }

    /// The same variants with other settings. Memory, stores, flights, threads and budgets are shared with `self` and
    /// keep their settings.
    #[must_use]
    pub fn reconfigured(&self, config: &Config, headers: Arc<dyn PrebuildHeaders>) -> Self {
        let resources = self.maker.resources().clone().with_rates(&config.rates);
        let originals = self.maker.runner.originals.clone();
        let maker = Arc::new(maker(config, originals, self.store.clone(), resources, headers));
        Self { maker, ..self.clone() }
    }

    /// The variant from memory, or from a flight. A variant in memory is served whatever happens, unless its original is
    /// known to be missing or broken.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, variant: &Variant, client: IpAddr) -> Result<FoundVariant, Error> {
        self.get_chosen(variant, FormatChoice::Url, client).await
    }

    /// The variant in the format that `Accept` prefers, or `in_url`, the one in the format of the URL, if that keeps a
    /// gain map.
    async fn get_now(&self, preferred: &Variant, in_url: &Variant, client: IpAddr) -> Result<FoundVariant, Error> {
        if !self.may_have_gain_map(in_url) {
            return self.get(preferred, client).await;
        }
        if !self.has_known_gain_map(in_url) {
            match self.get_chosen(preferred, FormatChoice::Accept, client).await {
                Err(Error::HasGainMap) => {}
                // A request for a URL with that format made it.
                Ok(found) if found.delivery.has_gain_map() => {}
                result => return result,
            }
        }
        self.get(in_url, client).await
    }

    /// True if the variant in the format of the URL would keep a gain map.
    fn may_have_gain_map(&self, in_url: &Variant) -> bool {
        self.maker.runner.limits.encode.gain_maps && in_url.encoding.format() == Format::Jpeg
    }

    /// True if the original is known to have a gain map that the variant in the format of the URL keeps.
    fn has_known_gain_map(&self, in_url: &Variant) -> bool {
        let is_cached = || match self.cache.get(in_url).map(|cached| cached.value) {
            Some(CachedVariant::Found(delivery)) => delivery.has_gain_map(),
            Some(CachedVariant::Failed { .. }) | None => false,
        };
        self.may_have_gain_map(in_url) && (self.maker.runner.gain_maps.contains(&in_url.original) || is_cached())
    }

    async fn get_chosen(&self, variant: &Variant, choice: FormatChoice, client: IpAddr) -> Result<FoundVariant, Error> {
        if let Some(Cached { value: CachedVariant::Found(delivery), age: Age::Fresh }) = self.cache.get(variant) {
            return Ok(FoundVariant::new(delivery, ServedFrom::Memory));
        }
        // The future is large, so it is boxed. Fresh variants do not need it.
        Box::pin(self.revalidate_or_make(variant, choice, client)).await
    }

    /// Starts over if the result of a flight cannot be used, or memory changed.
    async fn revalidate_or_make(
        &self,
        variant: &Variant,
        choice: FormatChoice,
        client: IpAddr,
    ) -> Result<FoundVariant, Error> {
        let asked_at = Instant::now();
        let mut outdated = None;
        for _ in 0..UNUSABLE_FLIGHTS_MAX {
            let result = match self.cache.get(variant) {
                Some(Cached { value: CachedVariant::Found(delivery), age }) => {
                    self.serve_from_memory(variant, (client, choice), delivery, age).await
                }
                // Negotiation has looked the variant up. This request makes it.
                Some(Cached { value: CachedVariant::Failed { error: Error::MadeLater(_), .. }, .. })
                    if choice != FormatChoice::Later =>
                {
                    self.cache.invalidate(variant);
                    None
                }
                Some(Cached { value: CachedVariant::Failed { error, .. }, .. }) => return Err(error),
                None => self.make(variant, choice, client).await,
            };
            match result {
                // Another request started the flight, too long before this one.
                Some(Ok(found)) if found.was_outdated_at(asked_at) => outdated = Some(found),
                Some(result) => return result,
                None => {}
            }
        }
        outdated.ok_or(Error::Overloaded)
    }

    /// Joins or starts a flight for a variant that is not in memory. `None` if the result of another request's flight does
    /// not hold for this one: its client is rate-limited, or `Accept` chose a format that cannot hold the gain map.
    async fn make(
        &self,
        variant: &Variant,
        choice: FormatChoice,
        client: IpAddr,
    ) -> Option<Result<FoundVariant, Error>> {
        let make = |late| self.maker.clone().make(variant.clone(), (client, choice), FlightStart::Missing(late));
        let wait = if choice == FormatChoice::Later { Wait::UnlessLate } else { Wait::ToTheEnd };
        // The flight continues after the timeout, and a later request gets its result.
        let flight = self.cache.get_or_make_unless_late(variant, wait, make);
        let flight = tokio::time::timeout(self.maker.flight_timeout, flight);
        let Ok(result) = flight.await else { return Some(Err(Error::FlightTimeout)) };
        let Some(result) = result else { return Some(Err(Error::MadeLater(LateState::BeingMade))) };
        match result {
            (CachedVariant::Found(delivery), served_from) => Some(Ok(FoundVariant::new(delivery, served_from))),
            (CachedVariant::Failed { error: Error::MadeLater(_), .. }, _) if choice != FormatChoice::Later => {
                self.cache.invalidate(variant);
                None
            }
            (CachedVariant::Failed { error: Error::RateLimited(limit), .. }, ServedFrom::JoinedFlight)
                if limit.kind == RateLimitKind::CpuPerClient =>
            {
                None
            }
            (CachedVariant::Failed { error: Error::HasGainMap, .. }, _) if choice == FormatChoice::Url => None,
            (CachedVariant::Failed { error, .. }, _) => Some(Err(error)),
        }
    }

    /// Makes the variant, unless its store has a current one, and waits until the store has confirmed the write. Memory
    /// is neither read nor filled, and rate limits do not apply. If `smaller` is given, that variant is stored too, and a new variant that
    /// does not have fewer bytes is marked, so that negotiation does not choose it.
    ///
    /// # Errors
    /// See [`EnsureStoredError`].
    pub async fn ensure_stored(
        &self,
        variant: &Variant,
        smaller: Option<&Variant>,
    ) -> Result<EnsureStored, EnsureStoredError> {
        // The future is large, so it is boxed.
        Box::pin(self.maker.ensure_stored(variant, smaller)).await
    }

    /// Makes a variant from the bytes `original`. It is neither stored nor cached. The limits, memory budgets and
    /// threads of all other variants apply to it too.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn preview(&self, variant: &Variant, original: Bytes) -> Result<Preview, Error> {
        self.maker.runner.preview(variant, original).await
    }

    /// An SVG original with this ETag without its scripts, from memory or made for `client`. `None` if the original has
    /// another ETag now.
    ///
    /// # Errors
    /// The original is not SVG or is damaged, or a limit is exceeded.
    pub async fn sanitized_svg(
        &self,
        original: &ObjectKey,
        etag: &str,
        client: IpAddr,
    ) -> Result<Option<Bytes>, Error> {
        let failure_ttl = self.maker.delivery.freshness.failure_ttl;
        Box::pin(self.sanitized.get(&self.maker.runner, (original, etag), client, failure_ttl)).await
    }

    /// Removes every variant of `original` from memory and from the store, and returns the number of stored variants
    /// that were deleted. Later requests use the current original. A variant that is being made is still sent to its
    /// waiters, but it is neither cached nor stored.
    ///
    /// # Errors
    /// The variants' store failed.
    pub async fn purge(&self, original: &ObjectKey) -> Result<usize, PurgeError> {
        // The purge is recorded first, because writers check the record before and after they store a variant.
        self.maker.resources().invalidations.record(original);
        self.forget(original);
        let purged = delete_stored(&self.store, original).await;
        // A request during the deletion may have found a variant that is deleted now.
        self.forget(original);
        match &purged {
            Ok(deleted) => {
                self.metrics.variants.inc_by(*deleted as u64);
                self.metrics.done.inc();
                tracing::info!(%original, deleted, "purged");
            }
            Err(error) => {
                self.metrics.variants.inc_by(error.deleted as u64);
                self.metrics.failed.inc();
            }
        }
        purged
    }

    /// Removes the variants of `original` and its sanitized file from memory, cached errors included.
    pub fn forget(&self, original: &ObjectKey) {
        self.sanitized.forget(original);
        self.late.forget(original);
        self.cache.invalidate_matching(|variant| variant.original == *original);
    }

    /// Removes one variant from memory.
    pub fn forget_variant(&self, variant: &Variant) {
        self.cache.invalidate(variant);
    }

    /// Removes all variants and sanitized files from memory. A variant that is being made is sent to its waiters, but not cached.
    pub fn forget_all(&self) {
        self.sanitized.forget_all();
        self.cache.invalidate_matching(|_| true);
    }

    /// Counts a request of `client` against `rates.requests_per_client`.
    ///
    /// # Errors
    /// The client has exceeded its limit.
    pub fn check_request_rate(&self, client: IpAddr) -> Result<(), RateLimitExceeded> {
        self.maker.resources().rate_limits.check_request(client)
    }

    /// Ends the work on variants that are made later, and forgets those that wait.
    pub fn abandon_late(&self) {
        self.late.abandon();
    }

    /// Finishes the running resize jobs and ends the threads.
    pub fn shutdown(&self) {
        self.abandon_late();
        self.maker.resources().resizer.shutdown();
    }

    /// The variants' store.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }
}

fn maker(
    config: &Config,
    originals: Store,
    variants: Store,
    resources: SharedResources,
    headers: Arc<dyn PrebuildHeaders>,
) -> VariantMaker {
    let immutable = config.originals.immutable;
    let flight_timeout = config.work.flight_time;
    let revalidate_after = (!immutable).then_some(config.cache.revalidate_after);
    let memory = resources.variant_memory.clone();
    VariantMaker {
        stored: StoredVariants {
            originals: originals.clone(),
            variants: variants.clone(),
            immutable,
            memory: memory.clone(),
        },
        runner: Arc::new(BatchRunner {
            originals,
            resources,
            gain_maps: GainMapOriginals::default(),
            limits: resize::limits(config),
            original_bytes_max: config.limits.original_bytes.as_u64(),
            slow_after: config.work.slow_after,
            flight_timeout,
        }),
        delivery: DeliveryBuilder {
            headers,
            freshness: Freshness {
                revalidate_after,
                revalidate_timeout: config.cache.revalidate_timeout,
                failure_ttl: config.cache.failures,
            },
            store: variants,
            memory,
        },
        mode: config.answers.mode,
        cache_control: config.answers.cache_control.to_str().unwrap_or_default().to_owned(),
        flight_timeout,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn register_gauges(cache: &Cache<Variant, CachedVariant>, metrics: &Metrics) {
    let gauge = |read: fn(&Cache<Variant, CachedVariant>) -> u64| {
        let cache = cache.clone();
        vec![Gauge::new(move || read(&cache) as f64)]
    };
    metrics.register_gauge("cache_bytes", "Memory in use by cached variants", gauge(Cache::bytes));
    metrics.register_gauge("cache_entries", "Cached variants", gauge(Cache::entries));
    metrics.register_gauge("flights", "Flights that find or make a variant", gauge(|cache| cache.flights() as u64));
}
