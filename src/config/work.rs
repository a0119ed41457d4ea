//! What making variants may use, and what is remembered of them.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use super::nonzero;

/// What is refused because it is too large.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest side that a URL may ask for, in pixels.
    pub max_side: NonZeroU16,
    /// Width times height of an original, from its header.
    pub input_pixels: u64,
    /// Width times height of a variant.
    pub output_pixels: u64,
    /// Frames of an animation.
    pub frames: NonZeroU32,
    /// Width times height times frames of an animation.
    pub animation_pixels: u64,
    /// Scans of a JPEG.
    pub scans: NonZeroU32,
    /// Processor time that one variant may take.
    #[serde(with = "humantime_serde")]
    pub render_time: Duration,
    pub incomplete: Incomplete,
    pub original_bytes: ByteSize,
    /// Of a variant as it is found in the store; a larger one is not ours.
    pub variant_bytes: ByteSize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_side: NonZeroU16::new(4096).unwrap_or(NonZeroU16::MAX),
            input_pixels: 100_000_000,
            output_pixels: 20_000_000,
            frames: NonZeroU32::new(1000).unwrap_or(NonZeroU32::MAX),
            animation_pixels: 400_000_000,
            scans: NonZeroU32::new(64).unwrap_or(NonZeroU32::MAX),
            render_time: Duration::from_secs(30),
            incomplete: Incomplete::Refuse,
            original_bytes: ByteSize::mib(64),
            variant_bytes: ByteSize::mib(32),
        }
    }
}

/// What becomes of originals that are cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Incomplete {
    Refuse,
    /// What can be decoded is the picture.
    Keep,
}

/// What is remembered in memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Bytes of renditions, their headers and keys.
    pub memory: ByteSize,
    /// How long a failure (404, undecodable) is answered from memory.
    #[serde(with = "humantime_serde")]
    pub failures: Duration,
    /// How long a variant is answered from memory before its original is asked for its ETag again.
    #[serde(with = "humantime_serde")]
    pub revalidate_after: Duration,
}

impl Default for Cache {
    fn default() -> Self {
        Self { memory: ByteSize::mib(256), failures: Duration::from_secs(5), revalidate_after: Duration::from_secs(60) }
    }
}

/// Work in progress: what making variants may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Work {
    /// Resize threads, at lower priority than serving; 0 is one a core.
    pub threads: usize,
    /// Bytes of originals being downloaded or waiting for a thread.
    pub download_memory: ByteSize,
    /// Bytes of pixels being worked on.
    pub pixel_memory: ByteSize,
    /// How long a request waits for memory and a thread before 503.
    #[serde(with = "humantime_serde")]
    pub queue_time: Duration,
    /// How many may wait; one more is 503 at once.
    pub queue_length: NonZeroUsize,
    /// Bytes of variants waiting to be written back behind their answers.
    pub write_back_memory: ByteSize,
    /// How many variants may be looked up or made at once; one more is 503.
    pub flights: NonZeroUsize,
    /// How long a flight may take in all before its waiters hear 504.
    #[serde(with = "humantime_serde")]
    pub flight_time: Duration,
    pub overload: Overload,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            threads: 0,
            download_memory: ByteSize::mib(256),
            pixel_memory: ByteSize::mib(512),
            queue_time: Duration::from_secs(10),
            queue_length: nonzero(1000),
            write_back_memory: ByteSize::mib(64),
            flights: nonzero(4096),
            flight_time: Duration::from_secs(60),
            overload: Overload::Refuse,
        }
    }
}

/// What is done when there is more work than memory or queues for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overload {
    /// 503 with `Retry-After`.
    Refuse,
    /// 307 to the original, where clients can reach that.
    Original,
}

/// Many nodes on one bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fleet {
    /// Of many nodes only one makes a variant; the others wait for it.
    pub lease: bool,
    /// How long the others wait for a lease that is not renewed before they take it over.
    #[serde(with = "humantime_serde")]
    pub lease_time: Duration,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { lease: false, lease_time: Duration::from_secs(10) }
    }
}
