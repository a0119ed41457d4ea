//! Resource limits, cache and work queues: `[limits]`, `[cache]`, `[work]` and `[fleet]`.

use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use bytesize::ByteSize;
pub use pixels::Incomplete;
use serde::{Deserialize, Serialize};

use crate::config::auto::Auto;

/// Limits of originals and variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Longest side that a URL may request, in pixels.
    pub max_side: NonZeroU16,
    /// Maximum width times height of an original, according to its header.
    pub input_pixels: u64,
    /// Maximum width times height of a variant.
    pub output_pixels: u64,
    /// Maximum number of frames of an animation.
    pub frames: NonZeroU32,
    /// Maximum width times height times frames of an animation.
    pub animation_pixels: u64,
    /// Maximum CPU time for making one variant.
    #[serde(with = "humantime_serde")]
    pub render_time: Duration,
    pub incomplete: Incomplete,
    /// Maximum size of an original.
    pub original_bytes: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_side: NonZeroU16::new(4096).unwrap_or(NonZeroU16::MAX),
            input_pixels: 100_000_000,
            output_pixels: 20_000_000,
            frames: NonZeroU32::new(1000).unwrap_or(NonZeroU32::MAX),
            animation_pixels: 400_000_000,
            render_time: Duration::from_secs(30),
            incomplete: Incomplete::Refuse,
            original_bytes: ByteSize::mib(64),
        }
    }
}

/// The cache in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Memory for variants with their headers and keys; computed from `memory` by default.
    pub memory: Auto<ByteSize>,
    /// Time that a lasting error (404, 422) is cached, and pause after a failed revalidation.
    #[serde(with = "humantime_serde")]
    pub failures: Duration,
    /// Age at which a cached variant is revalidated against the ETag of its original.
    #[serde(with = "humantime_serde")]
    pub revalidate_after: Duration,
    /// Maximum time that a request waits for the revalidation of a stale variant, before it is answered stale.
    #[serde(with = "humantime_serde")]
    pub revalidate_timeout: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            memory: Auto::Computed,
            failures: Duration::from_secs(5),
            revalidate_after: Duration::from_secs(60),
            revalidate_timeout: Duration::from_millis(500),
        }
    }
}

/// Threads, memory and time for making variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Work {
    /// Resize threads, which have a lower priority than serving threads; 0 means one per CPU core.
    pub threads: usize,
    /// Memory for originals that are being downloaded or wait for a thread.
    pub download_memory: Auto<ByteSize>,
    /// Memory for pixels.
    pub pixel_memory: Auto<ByteSize>,
    /// Maximum time that a request waits for memory before the response is 503.
    #[serde(with = "humantime_serde")]
    pub queue_time: Duration,
    /// Memory for variants that are being written to the store after their response.
    pub write_back_memory: Auto<ByteSize>,
    /// Expected CPU time above which a job runs in the slow lane.
    #[serde(with = "humantime_serde")]
    pub slow_after: Duration,
    /// Maximum time that a request waits for a variant before the response is 504.
    #[serde(with = "humantime_serde")]
    pub flight_time: Duration,
    pub overload: Overload,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            threads: 0,
            download_memory: Auto::Computed,
            pixel_memory: Auto::Computed,
            queue_time: Duration::from_secs(10),
            write_back_memory: Auto::Computed,
            slow_after: Duration::from_millis(250),
            flight_time: Duration::from_secs(60),
            overload: Overload::Refuse,
        }
    }
}

/// Response when memory or queues are full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overload {
    /// 503 with `Retry-After`.
    Refuse,
    /// 307 to the original, if clients can reach it.
    Original,
}

/// Nodes that share a bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// Lets only one node make a given variant; the others wait for it.
    pub lease: bool,
    /// Time without a renewal after which another node takes over a lease.
    #[serde(with = "humantime_serde")]
    pub lease_time: Duration,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { lease: false, lease_time: Duration::from_secs(10) }
    }
}
