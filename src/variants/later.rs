//! Variants that are made later: AVIF that `Accept` chose and that is not stored yet.
//!
//! A request for such a variant gets the next format that `Accept` allows, as an interim answer, and the variant joins a
//! [`queue`]. It is made while no client waits for a variant, and stored like all others, so that every node finds it. A
//! variant that is not smaller than the interim one is stored with a mark, by which every node keeps the interim format.

use std::net::IpAddr;
use std::time::Duration;

use super::batch::FormatChoice;
use super::error::Error;
use super::rendition::Freshness;
use super::{FoundVariant, Variants};
use crate::variant::{Format, Variant};

pub(super) mod make;
pub(super) mod queue;

use queue::LateJob;

/// A variant whose format `Accept` chose.
#[derive(Debug, Clone, Copy)]
pub struct NegotiatedVariant<'a> {
    pub preferred: &'a Variant,
    /// The variant for clients that ask before the preferred one is stored. `None` if that is made within the request.
    pub interim: Option<&'a Variant>,
    /// The variant in the format of the URL.
    pub in_url: &'a Variant,
}

/// Why a request does not get the variant that is made later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateState {
    /// The store has no current one.
    NotYet,
    /// It is being made for a request whose URL names its format.
    BeingMade,
    /// It does not have fewer bytes than the variant in this format.
    NotSmallerThan(Format),
}

/// How long a node does not look a variant up again that is not stored yet. Shared caches keep interim answers as long.
pub const LOOKUP_PERIOD: Duration = Duration::from_secs(60);

/// How long a node knows that a variant is not smaller, if originals never change.
const FINAL_PERIOD: Duration = Duration::from_secs(24 * 3600);

impl LateState {
    /// How long memory holds the state.
    pub(super) fn ttl(self, freshness: &Freshness) -> Duration {
        match self {
            Self::NotYet => LOOKUP_PERIOD,
            Self::BeingMade => Duration::ZERO,
            Self::NotSmallerThan(_) => freshness.revalidate_after.unwrap_or(FINAL_PERIOD),
        }
    }
}

impl Variants {
    /// The variant in the format that `Accept` prefers; an interim one until that is stored; or the one in the format of the
    /// URL, if that keeps a gain map.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get_negotiated(
        &self,
        negotiated: NegotiatedVariant<'_>,
        client: IpAddr,
    ) -> Result<FoundVariant, Error> {
        let NegotiatedVariant { preferred, interim, in_url } = negotiated;
        match interim {
            Some(interim) if !self.has_known_gain_map(in_url) => {
                self.get_unless_late(preferred, (interim, in_url), client).await
            }
            Some(_) | None => self.get_now(preferred, in_url, client).await,
        }
    }

    async fn get_unless_late(
        &self,
        preferred: &Variant,
        (interim, in_url): (&Variant, &Variant),
        client: IpAddr,
    ) -> Result<FoundVariant, Error> {
        let format = interim.encoding.format();
        let state = match self.get_chosen(preferred, FormatChoice::Later, client).await {
            // A request for a URL with that format has made it.
            Ok(found) if found.delivery.has_gain_map() => Err(Error::HasGainMap),
            Ok(found) => match found.delivery.not_smaller_than() {
                Some(other) if other == format => Err(Error::MadeLater(LateState::NotSmallerThan(other))),
                Some(_) | None => return Ok(found),
            },
            Err(error) => Err(error),
        };
        // The futures are large, so they are boxed. Variants that are stored do not need them.
        match state {
            Err(Error::MadeLater(LateState::NotSmallerThan(other))) if other != format => {
                Box::pin(self.get_chosen(preferred, FormatChoice::Accept, client)).await
            }
            state => Box::pin(self.get_interim(preferred, (interim, in_url), (client, state))).await,
        }
    }

    /// The interim variant. If the preferred one is missing, it joins the queue.
    async fn get_interim(
        &self,
        preferred: &Variant,
        (interim, in_url): (&Variant, &Variant),
        (client, state): (IpAddr, Result<FoundVariant, Error>),
    ) -> Result<FoundVariant, Error> {
        let found = self.get_now(interim, in_url, client).await?;
        if found.delivery.has_gain_map() {
            return Ok(found);
        }
        match state {
            Err(Error::MadeLater(LateState::NotSmallerThan(_)) | Error::HasGainMap) => return Ok(found),
            Err(Error::MadeLater(LateState::NotYet)) => {
                let job = LateJob::new(preferred, (interim, &found.delivery), client);
                self.late.offer(job, &self.maker);
            }
            // It is being made, or cannot be made now.
            Ok(_) | Err(_) => {}
        }
        Ok(FoundVariant { is_interim: true, ..found })
    }
}
