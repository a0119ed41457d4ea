//! Checks that the limit of file descriptors suffices for the configured limits.

use std::num::NonZeroUsize;

use crate::config::{Config, MemoryPlan, StoreAddress};
use crate::support::memory::MemoryShare;
use crate::support::open_bodies::OpenBodies;

/// The file descriptors that the server may need.
#[derive(Debug, Clone, Copy)]
struct DescriptorPlan {
    connections: u64,
    /// Files and connections to S3 of bodies that are streamed to clients, other requests to S3, and files of uploads.
    others: u64,
}

/// The limit of file descriptors is too low.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    #[error(
        "server.connections: {connections} connections need {needed} file descriptors, and the limit is {limit}: \
         at most {fitting} connections fit, or raise the limit (ulimit -n, LimitNOFILE)"
    )]
    Connections { connections: u64, needed: u64, limit: u64, fitting: u64 },
    #[error(
        "the limit of file descriptors is {limit}, and s3.concurrency, upload.concurrency, open bodies and a few connections \
         need {needed}: raise the limit (ulimit -n, LimitNOFILE)"
    )]
    Others { needed: u64, limit: u64 },
}

/// Descriptors of everything else: listeners, the admin listener, logs, runtimes, the outbox and traces.
const RESERVED: u64 = 100;

/// The fewest connections with which the server starts if their number is computed.
const CONNECTIONS_MIN: u64 = 16;

impl DescriptorPlan {
    fn new(config: &Config, memory: &MemoryPlan) -> Self {
        let stores = [&config.originals.store, &config.variants.store];
        let remote = stores.iter().filter(|store| !matches!(store, StoreAddress::File { .. })).count() as u64;
        let outbox = u64::from(!config.notify.url.is_empty() && remote > 0);
        let uploads = if config.upload.enabled { config.upload.concurrency.get() as u64 } else { 0 };
        let bodies = OpenBodies::streams_max(memory.bytes(MemoryShare::Bodies));
        Self {
            connections: memory.connections as u64,
            others: bodies + (remote + outbox) * config.s3.concurrency.get() as u64 + uploads + RESERVED,
        }
    }

    /// The number of connections that fit into `limit`.
    fn fitting(self, limit: u64) -> u64 {
        self.connections.min(limit.saturating_sub(self.others))
    }
}

/// The number of connections for a limit of `limit` descriptors; `None` means no limit. A number that is set must fit.
///
/// # Errors
/// The limit is too low.
pub(super) fn connections_max(
    config: &Config,
    memory: &MemoryPlan,
    limit: Option<u64>,
) -> Result<usize, DescriptorError> {
    let (plan, limit) = (DescriptorPlan::new(config, memory), limit.unwrap_or(u64::MAX));
    let DescriptorPlan { connections, others } = plan;
    let fitting = plan.fitting(limit);
    if fitting < CONNECTIONS_MIN.min(connections) {
        return Err(DescriptorError::Others { needed: others + CONNECTIONS_MIN, limit });
    }
    if fitting < connections && config.server.connections.set().is_some() {
        let (needed, fitting) = (others + connections, fitting_if_set(config, fitting, limit));
        return Err(DescriptorError::Connections { connections, needed, limit, fitting });
    }
    if fitting < connections {
        tracing::warn!(connections = fitting, limit, "connections limited by the limit of file descriptors");
    }
    Ok(usize::try_from(fitting).unwrap_or(usize::MAX))
}

/// The largest value of `server.connections` that fits, at most `fitting`. Fewer connections leave more memory to bodies,
/// which need descriptors too.
fn fitting_if_set(config: &Config, mut fitting: u64, limit: u64) -> u64 {
    let mut config = config.clone();
    while let Some(set) = usize::try_from(fitting).ok().and_then(NonZeroUsize::new) {
        config.server.connections = set.into();
        let Ok(memory) = MemoryPlan::new(&config) else { break };
        let next = DescriptorPlan::new(&config, &memory).fitting(limit);
        if next == fitting {
            break;
        }
        fitting = next;
    }
    fitting
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(connections: Option<usize>, limit: u64) -> Result<usize, DescriptorError> {
        let mut config = Config::default();
        if let Some(set) = connections {
            config.server.connections = NonZeroUsize::new(set).unwrap().into();
        }
        connections_max(&config, &MemoryPlan::new(&config).unwrap(), Some(limit))
    }

    #[test]
    fn a_set_number_that_does_not_fit_is_refused_with_the_one_that_does() {
        assert_eq!(start(Some(500), 10_000), Ok(500));
        let Err(DescriptorError::Connections { connections: 500, fitting, .. }) = start(Some(500), 600) else {
            panic!("refused");
        };
        let fitting = usize::try_from(fitting).unwrap();
        assert_eq!(start(Some(fitting), 600), Ok(fitting));
        assert!(start(Some(fitting + 1), 600).is_err());
    }

    #[test]
    fn a_computed_number_adapts_until_no_connections_are_left() {
        let all = start(None, 10_000).unwrap();
        let some = start(None, 600).unwrap();
        assert!(some < all && some > 100, "{some}");
        assert!(matches!(start(None, 300), Err(DescriptorError::Others { limit: 300, .. })));
    }

    #[test]
    fn requests_to_s3_and_uploads_count() {
        let mut config = Config::default();
        // Uploads need memory too, so the plan would have fewer streams.
        let memory = MemoryPlan::new(&config).unwrap();
        let others = |config: &Config| DescriptorPlan::new(config, &memory).others;
        let files = others(&config);
        config.variants.store = "s3://pictures/variants".parse().unwrap();
        config.upload.enabled = true;
        let expected = config.s3.concurrency.get() + config.upload.concurrency.get();
        assert_eq!(others(&config) - files, expected as u64);
    }
}
