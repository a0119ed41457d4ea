//! Thread counts from the configuration.

use std::num::NonZeroUsize;
use std::thread;

/// Resolves a configured number of threads: 0 means one thread per core.
#[must_use]
pub fn count_or_cores(configured: usize) -> usize {
    match configured {
        0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
        threads => threads,
    }
}
