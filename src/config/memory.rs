//! The division of `memory` into shares.
//!
//! Each share gets the minimum that the limits need. The rest is divided in fixed proportions among the shares that are
//! not set. [`MemoryPlan::new`] is a pure function of the settings.

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::config::settings::Config;
use crate::support::memory::{HostMemory, MemoryShare};

/// Memory of the whole process and its decoder processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Memory(pub ByteSize);

impl Default for Memory {
    fn default() -> Self {
        Self(ByteSize::gib(1))
    }
}

/// Bytes of each share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryPlan {
    pub total: u64,
    /// The part of the share of variants that cached variants may fill. The other part is for variants that are being
    /// read, and for evicted ones that are still being sent.
    pub cache: u64,
    /// `server.connections`, or the number of connections that their share allows.
    pub connections: usize,
    shares: [u64; MemoryShare::ALL.len()],
}

/// `memory` and the settings of shares contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct MemoryError {
    pub(super) key: &'static str,
    pub(super) problem: String,
}

const MIB: u64 = 1 << 20;

/// Size limit of stored variants. Larger variants are neither stored nor read.
pub const VARIANT_BYTES_MAX: u64 = 32 * MIB;

/// Memory of one open connection without its response bodies: its task, an incomplete header of the largest size, and the
/// buffers and tables of HTTP. Measured with 300 connections that each hold as much as they can: 31 KiB over HTTP/1 and 62 KiB
/// over HTTP/2.
const PLAIN_CONNECTION_BYTES: u64 = 64 * 1024;

/// The same with TLS, measured as 70 KiB, and its buffer of records that the client does not take (32 KiB).
const TLS_CONNECTION_BYTES: u64 = 112 * 1024;

/// Memory of one open connection without its response bodies.
fn connection_bytes(config: &Config) -> u64 {
    if config.server.tls.is_on() { TLS_CONNECTION_BYTES } else { PLAIN_CONNECTION_BYTES }
}

/// Number of connections up to which their share grows with `memory`.
const CONNECTIONS_MAX: u64 = 10_000;

/// Memory of all tables of fixed size: parsed paths, metadata of originals, purges, rate limits and buffers of logs.
pub const TABLES_BYTES: u64 = 16 * MIB;

/// Memory of the queue of spans, if traces are exported.
const SPANS_BYTES: u64 = 16 * MIB;

/// Memory that the process uses beyond `memory`: the program, the stacks of its threads, and fragments.
pub const OVERHEAD_BYTES: u64 = 64 * MIB;

/// Minimum and weight of a part of the memory.
struct Part {
    minimum: u64,
    /// Percentage of the memory beyond all minimums.
    weight: u64,
    set: Option<u64>,
}

impl Part {
    fn needed(&self) -> u64 {
        self.set.unwrap_or(self.minimum)
    }
}

/// The parts in the order of [`MemoryShare::ALL`]. The cache follows as a separate part.
fn parts(config: &Config) -> [Part; MemoryShare::ALL.len() + 1] {
    let Config { limits, cache, work, server, traces, upload, .. } = config;
    let spans = if traces.endpoint.is_empty() { 0 } else { SPANS_BYTES };
    let bytes = |size: ByteSize| size.as_u64();
    let part = |minimum, weight, set| Part { minimum, weight, set };
    [
        // One of the largest variants with its headers.
        part(VARIANT_BYTES_MAX + MIB, 3, None),
        part(limits.original_bytes.as_u64(), 5, work.download_memory.set().map(bytes)),
        part(64 * MIB, 46, work.pixel_memory.set().map(bytes)),
        part(8 * MIB, 3, work.write_back_memory.set().map(bytes)),
        part(16 * MIB, 4, None),
        // A reload may enable uploads, so the share is never empty.
        part(if upload.enabled { upload.memory_min() } else { 10 * MIB }, 1, None),
        part(
            16 * MIB,
            5,
            server.connections.set().map(|max| (max.get() as u64).saturating_mul(connection_bytes(config))),
        ),
        part(TABLES_BYTES + spans + 4 * MIB, 1, None),
        part(0, 32, cache.memory.set().map(bytes)),
    ]
}

impl MemoryPlan {
    /// Divides `memory`.
    ///
    /// # Errors
    /// `memory` is too small for the other settings. The message names the smallest value that works.
    pub fn new(config: &Config) -> Result<Self, MemoryError> {
        let (total, mut parts) = (config.memory.0.as_u64(), parts(config));
        let needed = parts.iter().map(Part::needed).fold(0, u64::saturating_add);
        let connections = &parts[MemoryShare::Connections as usize];
        if needed > total {
            let others = needed - connections.needed();
            let fitting = total.saturating_sub(others) / connection_bytes(config);
            return Err(match config.server.connections.set() {
                Some(max) if fitting > 0 => MemoryError {
                    key: "server.connections",
                    problem: format!(
                        "{max} connections do not fit into memory = {}: at most {fitting} fit, or set memory to at least {}",
                        mib_down(total),
                        mib_up(needed)
                    ),
                },
                _ => MemoryError {
                    key: "memory",
                    problem: format!(
                        "must be at least {}: limits.original_bytes, the set shares and the minimums of the others need it",
                        mib_up(needed)
                    ),
                },
            });
        }
        let automatic =
            |parts: &[Part]| -> u64 { parts.iter().filter(|part| part.set.is_none()).map(|part| part.weight).sum() };
        let grown = |part: &Part, rest: u64, weights: u64| {
            part.minimum
                + u64::try_from(u128::from(rest) * u128::from(part.weight) / u128::from(weights.max(1))).unwrap_or(0)
        };
        let connections = &mut parts[MemoryShare::Connections as usize];
        connections.set = connections.set.or_else(|| {
            let most = (CONNECTIONS_MAX * connection_bytes(config)).max(connections.minimum);
            (grown(connections, total - needed, 100) > most).then_some(most)
        });
        let rest = total - parts.iter().map(Part::needed).sum::<u64>();
        let weights = automatic(&parts);
        let sizes = parts.map(|part| part.set.unwrap_or_else(|| grown(&part, rest, weights)));
        let [mut shares @ .., cache] = sizes;
        shares[MemoryShare::Variants as usize] += cache;
        let connections = shares[MemoryShare::Connections as usize] / connection_bytes(config);
        Ok(Self { total, cache, connections: usize::try_from(connections).unwrap_or(usize::MAX), shares })
    }

    /// Bytes of a share.
    #[must_use]
    pub fn bytes(&self, share: MemoryShare) -> u64 {
        self.shares[share as usize]
    }

    /// Checks that the host grants this memory and its overhead.
    ///
    /// # Errors
    /// The host grants less. The message names the largest value that works.
    pub fn check_host(&self, host: Option<HostMemory>) -> Result<(), MemoryError> {
        match host {
            Some(host) if self.total.saturating_add(OVERHEAD_BYTES) > host.bytes => Err(MemoryError {
                key: "memory",
                problem: format!(
                    "must be at most {}: {} is {}, and the process needs {} beyond memory",
                    mib_down(host.bytes.saturating_sub(OVERHEAD_BYTES)),
                    host.source.as_str(),
                    mib_down(host.bytes),
                    mib_down(OVERHEAD_BYTES)
                ),
            }),
            Some(_) | None => Ok(()),
        }
    }
}

fn mib_up(bytes: u64) -> String {
    format!("\"{}MiB\"", bytes.div_ceil(MIB))
}

fn mib_down(bytes: u64) -> String {
    format!("\"{}MiB\"", bytes / MIB)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::support::memory::HostMemorySource;

    fn config(memory_mib: u64) -> Config {
        Config { memory: Memory(ByteSize::mib(memory_mib)), ..Config::default() }
    }

    #[test]
    fn shares_fill_the_memory_in_fixed_proportions_above_their_minimums() {
        // Memory; then cache, and the shares in the order of `MemoryShare::ALL`, all in MiB.
        let table = [
            (272, 13, [47, 66, 82, 9, 17, 10, 18, 20]),
            (1024, 253, [310, 103, 428, 31, 47, 17, 55, 27]),
            (8192, 2547, [2819, 462, 3726, 246, 334, 89, 414, 99]),
        ];
        for (memory, cache, shares) in table {
            let plan = MemoryPlan::new(&config(memory)).unwrap();
            let found = MemoryShare::ALL.map(|share| plan.bytes(share) / MIB);
            assert_eq!((plan.cache / MIB, found), (cache, shares), "{memory}");
            let sum: u64 = MemoryShare::ALL.iter().map(|share| plan.bytes(*share)).sum();
            assert!(sum <= memory * MIB && sum > memory * MIB - 16, "{sum}");
        }
    }

    #[test]
    fn a_set_share_is_kept_and_the_others_divide_the_rest() {
        let mut config = config(1024);
        config.cache.memory = ByteSize::b(0).into();
        config.work.pixel_memory = ByteSize::mib(200).into();
        let plan = MemoryPlan::new(&config).unwrap();
        assert_eq!((plan.cache, plan.bytes(MemoryShare::Pixels)), (0, 200 * MIB));
        let sum: u64 = MemoryShare::ALL.iter().map(|share| plan.bytes(*share)).sum();
        assert!(sum > 1024 * MIB - 16, "{sum}");
        config.limits.original_bytes = ByteSize::mib(300);
        let plan = MemoryPlan::new(&config).unwrap();
        assert!(plan.bytes(MemoryShare::Downloads) >= 300 * MIB);
    }

    #[test]
    fn the_number_of_connections_follows_from_their_share_or_fixes_it() {
        let automatic = MemoryPlan::new(&config(1024)).unwrap();
        assert_eq!(automatic.connections as u64, automatic.bytes(MemoryShare::Connections) / PLAIN_CONNECTION_BYTES);
        let large = MemoryPlan::new(&config(64 << 10)).unwrap();
        assert_eq!(large.connections as u64, CONNECTIONS_MAX);
        let mut set = config(1024);
        set.server.connections = NonZeroUsize::new(10_000).unwrap().into();
        let plan = MemoryPlan::new(&set).unwrap();
        assert_eq!((plan.connections, plan.bytes(MemoryShare::Connections)), (10_000, 10_000 * PLAIN_CONNECTION_BYTES));
        set.memory = Memory(ByteSize::mib(272));
        let error = MemoryPlan::new(&set).unwrap_err().to_string();
        let fitting: usize = error.split("at most ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        set.server.connections = NonZeroUsize::new(fitting).unwrap().into();
        assert_eq!(MemoryPlan::new(&set).unwrap().connections, fitting, "{error}");
        set.server.connections = NonZeroUsize::new(fitting + 1).unwrap().into();
        assert!(MemoryPlan::new(&set).is_err());
    }

    #[test]
    fn memory_that_is_too_small_is_refused_with_the_smallest_value_that_works() {
        for change in [
            |_: &mut Config| {},
            |config: &mut Config| config.limits.original_bytes = ByteSize::gib(1),
            |config: &mut Config| config.cache.memory = ByteSize::mib(100).into(),
            |config: &mut Config| config.traces.endpoint = "http://127.0.0.1:4318/v1/traces".into(),
        ] {
            let mut config = config(16);
            change(&mut config);
            let error = MemoryPlan::new(&config).unwrap_err();
            assert_eq!(error.key, "memory");
            let smallest = error.problem.split('"').nth(1).unwrap().parse().unwrap();
            config.memory = Memory(smallest);
            MemoryPlan::new(&config).unwrap();
            config.memory = Memory(ByteSize::b(smallest.as_u64() - MIB));
            assert!(MemoryPlan::new(&config).is_err(), "{error}");
        }
    }

    #[test]
    fn memory_above_the_limit_of_the_host_is_refused_with_the_largest_value_that_works() {
        let host = Some(HostMemory { bytes: 512 * MIB, source: HostMemorySource::ControlGroup });
        let check = |mib| MemoryPlan::new(&config(mib)).unwrap().check_host(host);
        let error = check(512).unwrap_err().to_string();
        assert!(error.starts_with("memory: must be at most \"448MiB\": the memory limit of the container"), "{error}");
        assert_eq!(check(448), Ok(()));
        assert!(check(449).is_err());
        assert_eq!(MemoryPlan::new(&config(1 << 20)).unwrap().check_host(None), Ok(()));
    }
}
