//! Rate limits: requests and new variants of a client, and new variants of an original.

use std::net::IpAddr;
use std::time::Duration;

use crate::config;
use crate::support::rate_limiter::{RateLimiter, client_network};
use crate::variant::ObjectKey;

/// The limits of `[rates]` with their counters. A limit of zero is off.
#[derive(Debug)]
pub(super) struct RateLimits {
    config: config::Rates,
    variants_per_original: Option<RateLimiter>,
    variants_per_client: Option<RateLimiter>,
    requests_per_client: Option<RateLimiter>,
}

/// The limit that a request exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateLimitKind {
    /// New variants of one original.
    VariantsPerOriginal,
    /// New variants for one client.
    VariantsPerClient,
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
            variants_per_original: RateLimiter::unless_zero(config.variants_per_original),
            variants_per_client: RateLimiter::unless_zero(config.variants_per_client),
            requests_per_client: RateLimiter::unless_zero(config.requests_per_client),
            config,
        }
    }

    /// True if these limits were made from an equal `config`.
    pub(super) fn is_same_config(&self, config: &config::Rates) -> bool {
        self.config == *config
    }

    /// Counts a new variant that is made because of a request of `client`.
    pub(super) fn check_new_variant(&self, original: &ObjectKey, client: IpAddr) -> Result<(), RateLimitExceeded> {
        if let Some(limiter) = &self.variants_per_client {
            let exceeded = |retry_after| RateLimitExceeded { kind: RateLimitKind::VariantsPerClient, retry_after };
            limiter.check(&client_network(client)).map_err(exceeded)?;
        }
        match &self.variants_per_original {
            Some(limiter) => {
                let exceeded =
                    |retry_after| RateLimitExceeded { kind: RateLimitKind::VariantsPerOriginal, retry_after };
                limiter.check(&original.as_str()).map_err(exceeded)
            }
            None => Ok(()),
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

impl RateLimitKind {
    fn detail(self) -> &'static str {
        match self {
            Self::VariantsPerOriginal => "too many new sizes of this picture were requested",
            Self::VariantsPerClient => "this client requested too many new sizes",
            Self::RequestsPerClient => "this client sent too many requests",
        }
    }
}
