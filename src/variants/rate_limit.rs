//! Rate limits: requests of a client, and CPU time for new variants of a client and of an original.

use std::net::IpAddr;
use std::time::Duration;

use crate::config;
use crate::support::rate_limiter::{RateLimiter, client_network};
use crate::support::token_buckets::TokenBuckets;
use crate::variant::ObjectKey;

/// The limits of `[rates]` with their counters. A limit of zero is off.
#[derive(Debug)]
pub(super) struct RateLimits {
    config: config::Rates,
    cpu_per_original: Option<TokenBuckets>,
    cpu_per_client: Option<TokenBuckets>,
    requests_per_client: Option<RateLimiter>,
}

/// CPU time that every new variant is charged at least, because storing and finding it costs something too.
const VARIANT_COST_MIN: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// The limit that a request exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitKind {
    /// CPU time for new variants of one original.
    CpuPerOriginal,
    /// CPU time for new variants for one client.
    CpuPerClient,
    /// Requests of one client.
    RequestsPerClient,
}

/// A request exceeded a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; try again after the time in Retry-After", .kind.detail())]
pub struct RateLimitExceeded {
    pub kind: RateLimitKind,
    pub retry_after: Duration,
}

impl RateLimits {
    pub(super) fn new(config: config::Rates) -> Self {
        Self {
            cpu_per_original: TokenBuckets::unless_zero(config.cpu_per_original),
            cpu_per_client: TokenBuckets::unless_zero(config.cpu_per_client),
            requests_per_client: RateLimiter::unless_zero(config.requests_per_client),
            config,
        }
    }

    /// True if these limits were made from an equal `config`.
    pub(super) fn is_same_config(&self, config: &config::Rates) -> bool {
        self.config == *config
    }

    /// Checks that a new variant may be made because of a request of `client`.
    pub(super) fn check_new_variant(&self, original: &ObjectKey, client: IpAddr) -> Result<(), RateLimitExceeded> {
        let original = self.cpu_per_original.as_ref().map_or(Ok(()), |buckets| buckets.check(&original.as_str()));
        let client = self.cpu_per_client.as_ref().map_or(Ok(()), |buckets| buckets.check(&client_network(client)));
        exceeded(RateLimitKind::CpuPerClient, client).and(exceeded(RateLimitKind::CpuPerOriginal, original))
    }

    /// Charges the estimated CPU time of a new variant to its original and to the client that requested it.
    pub(super) fn charge(
        &self,
        original: &ObjectKey,
        client: IpAddr,
        estimate: Duration,
    ) -> Result<(), RateLimitExceeded> {
        self.check_new_variant(original, client)?;
        let cost = estimate.max(VARIANT_COST_MIN);
        if let Some(buckets) = &self.cpu_per_client {
            exceeded(RateLimitKind::CpuPerClient, buckets.charge(&client_network(client), cost))?;
        }
        if let Some(buckets) = &self.cpu_per_original {
            exceeded(RateLimitKind::CpuPerOriginal, buckets.charge(&original.as_str(), cost))?;
        }
        Ok(())
    }

    /// Replaces a charged estimate by the CPU time that the variant took.
    pub(super) fn correct(&self, original: &ObjectKey, client: IpAddr, estimate: Duration, cpu_time: Duration) {
        let (charged, actual) = (estimate.max(VARIANT_COST_MIN), cpu_time.max(VARIANT_COST_MIN));
        if let Some(buckets) = &self.cpu_per_client {
            buckets.correct(&client_network(client), charged, actual);
        }
        if let Some(buckets) = &self.cpu_per_original {
            buckets.correct(&original.as_str(), charged, actual);
        }
    }

    /// Counts a request of `client`.
    pub(super) fn check_request(&self, client: IpAddr) -> Result<(), RateLimitExceeded> {
        match &self.requests_per_client {
            Some(limiter) => {
                let exceeded = |retry_after| RateLimitExceeded { kind: RateLimitKind::RequestsPerClient, retry_after };
                limiter.check(&client_network(client)).map_err(exceeded)
            }
            None => Ok(()),
        }
    }
}

fn exceeded(kind: RateLimitKind, checked: Result<(), Duration>) -> Result<(), RateLimitExceeded> {
    // Retry-After has whole seconds.
    checked.map_err(|wait| RateLimitExceeded { kind, retry_after: Duration::from_secs(wait.as_secs() + 1) })
}

impl RateLimitKind {
    fn detail(self) -> &'static str {
        match self {
            Self::CpuPerOriginal => "too many new sizes of this picture were requested (rates.cpu_per_original)",
            Self::CpuPerClient => "this client requested too many new sizes (rates.cpu_per_client)",
            Self::RequestsPerClient => "this client sent too many requests (rates.requests_per_client)",
        }
    }
}
