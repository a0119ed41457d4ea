//! Revalidation of variants in memory: a check that the original has not changed since the variant was made.
//!
//! A request near the end of a variant's freshness starts a revalidation and does not wait for it. A request for a stale
//! variant waits, unless the stores have failed recently; see [`patience`]. A revalidation that takes too long is
//! announced as late: then all requests that wait for it are answered with the stale variant, and it continues.

use std::net::IpAddr;
use std::pin::pin;

use tokio::time::{Instant, timeout};

use super::batch::FormatChoice;
use super::error::Error;
use super::make::{FlightStart, VariantMaker};
use super::rendition::cached::CachedVariant;
use super::rendition::{Delivery, Freshness};
use super::timings::Timings;
use super::{FoundVariant, Variants};
use crate::cache::{Age, Late, Revalidation, ServedFrom};
use crate::origin::StoreError;
use crate::variant::{ObjectKey, Variant};

pub(super) mod patience;

/// A delivery in memory that a flight revalidates.
pub(super) struct Revalidating {
    pub(super) delivery: Delivery,
    pub(super) late: Late,
}

impl Variants {
    /// Serves `delivery` from memory, revalidated if that is due. `None` if the delivery was renewed or removed since it
    /// was looked up.
    pub(super) async fn serve_from_memory(
        &self,
        variant: &Variant,
        (client, choice): (IpAddr, FormatChoice),
        delivery: Delivery,
        age: Age,
    ) -> Option<Result<FoundVariant, Error>> {
        let served_from = if age.is_fresh() { ServedFrom::Memory } else { ServedFrom::StaleMemory };
        let patience = &self.maker.resources().patience;
        let (waits, running_max) = match age {
            Age::Fresh | Age::Stale => return Some(Ok(FoundVariant::new(delivery, served_from))),
            Age::RevalidationDue if patience.allows_waiting() => (true, patience.revalidations_max),
            Age::RefreshDue | Age::RevalidationDue => (false, patience.background_revalidations_max),
        };
        if !self.maker.stored.can_check(&delivery) {
            return Some(Ok(FoundVariant::new(delivery, served_from)));
        }
        let make = |value, late| {
            let start = match value {
                CachedVariant::Found(delivery) => FlightStart::Cached(Revalidating { delivery, late }),
                CachedVariant::Failed { .. } => FlightStart::Missing(late),
            };
            self.maker.clone().make(variant.clone(), (client, choice.revalidating()), start)
        };
        let result = match self.cache.revalidate(variant, running_max, make) {
            Revalidation::Running(waiter) if waits => {
                timeout(self.maker.flight_timeout, waiter.result_unless_late()).await.ok().flatten()
            }
            Revalidation::Superseded if waits => return None,
            Revalidation::Running(_) | Revalidation::TooMany | Revalidation::Superseded => None,
        };
        Some(match result {
            Some((CachedVariant::Found(delivery), served_from)) => Ok(FoundVariant::new(delivery, served_from)),
            Some((CachedVariant::Failed { error, .. }, _)) if !error.allows_stale() => Err(error),
            Some((CachedVariant::Failed { .. }, _)) | None => Ok(FoundVariant::new(delivery, served_from)),
        })
    }
}

impl VariantMaker {
    /// True if the delivery in memory is still current. After `cache.revalidate_timeout` the check is late, but continues.
    pub(super) async fn is_current(
        &self,
        cached: &Revalidating,
        key: &ObjectKey,
        variant: &Variant,
        timings: &mut Timings,
    ) -> Result<bool, Error> {
        let Freshness { revalidate_timeout, failure_ttl, .. } = self.delivery.freshness;
        let patience = &self.resources().patience;
        let started = Instant::now();
        let check = timings.time("revalidate", async {
            let mut check = pin!(self.stored.is_current(&cached.delivery, key, variant, revalidate_timeout));
            match timeout(revalidate_timeout, &mut check).await {
                Ok(Ok(is_current)) => {
                    patience.resume(started);
                    Ok(is_current)
                }
                Ok(Err(error)) => {
                    if is_outage(&error) {
                        patience.pause_for(failure_ttl);
                    }
                    Err(error)
                }
                Err(_) => {
                    cached.late.announce();
                    patience.pause_for(failure_ttl);
                    check.await
                }
            }
        });
        check.await.map_err(|error| Error::from_store(&error))
    }

    /// Makes a variant whose original has changed. Requests wait for it as long as the stores answer, because the delivery
    /// in memory is outdated.
    pub(super) async fn while_stores_answer<T>(&self, cached: &Revalidating, making: impl Future<Output = T>) -> T {
        let Freshness { revalidate_timeout, .. } = self.delivery.freshness;
        let mut making = pin!(making);
        loop {
            match timeout(revalidate_timeout, &mut making).await {
                Ok(made) => return made,
                Err(_) if self.resources().patience.allows_waiting() => {}
                Err(_) => {
                    cached.late.announce();
                    return making.await;
                }
            }
        }
    }
}

/// True if the store did not answer, or answered that it cannot serve requests.
fn is_outage(error: &StoreError) -> bool {
    matches!(error, StoreError::Timeout { .. } | StoreError::Unavailable { .. } | StoreError::Busy)
}
