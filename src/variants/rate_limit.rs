//! What one client may do in a minute, and what may be made of one original.

use std::net::IpAddr;
use std::time::Duration;

use crate::config;
use crate::proxy::error::Failure;
use crate::support::rate_limiter::{RateLimiter, client_network};
use crate::variant::ObjectKey;

#[derive(Debug)]
pub(crate) struct Rates {
    config: config::Rates,
    variants_per_original: Option<RateLimiter>,
    variants_per_client: Option<RateLimiter>,
    requests_per_client: Option<RateLimiter>,
}

/// Whose rate was over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    /// New variants of one original.
    Original,
    /// New variants for one client.
    Client,
    /// Requests of one client.
    Requests,
}

impl Rates {
    pub(crate) fn new(config: config::Rates) -> Self {
        Self {
            variants_per_original: RateLimiter::unless_zero(config.variants_per_original),
            variants_per_client: RateLimiter::unless_zero(config.variants_per_client),
            requests_per_client: RateLimiter::unless_zero(config.requests_per_client),
            config,
        }
    }

    /// Whether they are what `config` says.
    pub(crate) fn are(&self, config: &config::Rates) -> bool {
        self.config == *config
    }

    /// Counts a variant that is new and is made because `client` asked for it.
    pub(crate) fn make(&self, original: &ObjectKey, client: IpAddr) -> Result<(), Failure> {
        if let Some(limiter) = &self.variants_per_client {
            limiter.check(&client_network(client)).map_err(|wait| Failure::limited(Limited::Client, wait))?;
        }
        match &self.variants_per_original {
            Some(limiter) => {
                limiter.check(&original.as_str()).map_err(|wait| Failure::limited(Limited::Original, wait))
            }
            None => Ok(()),
        }
    }

    /// Counts a request.
    pub(crate) fn ask(&self, client: IpAddr) -> Result<(), Failure> {
        match &self.requests_per_client {
            Some(limiter) => {
                limiter.check(&client_network(client)).map_err(|wait| Failure::limited(Limited::Requests, wait))
            }
            None => Ok(()),
        }
    }
}

impl Limited {
    pub(crate) fn detail(self) -> &'static str {
        match self {
            Self::Original => {
                "too many new sizes of this picture are asked for; try again after the time in Retry-After"
            }
            Self::Client => "this client asks for too many new sizes; try again after the time in Retry-After",
            Self::Requests => "this client asks too often; try again after the time in Retry-After",
        }
    }
}

impl Failure {
    fn limited(what: Limited, wait: Duration) -> Self {
        Self::Limited { what, retry_s: wait.as_secs() }
    }
}
