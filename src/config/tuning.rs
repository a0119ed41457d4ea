//! Limits and intervals that operators have no reason to change.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::nonzero::nonzero;

/// Constants of a running server. They cannot be read from config; tests shorten them.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Maximum number of variants not in memory that are being looked up or made. The response to further requests is 503.
    pub flights_max: usize,
    /// Maximum number of variants in memory that are being revalidated. Further requests get the stale variant.
    pub revalidations_max: usize,
    /// Maximum number of revalidations, above which no request starts one that it does not wait for.
    pub background_revalidations_max: usize,
    /// Maximum number of requests that wait for one kind of memory, or for a resize thread. The response to further
    /// requests is 503.
    pub queue_length: NonZeroUsize,
    /// Requests after which an HTTP/1.1 connection is closed, which frees its buffers. 0 means no limit.
    pub requests_per_connection: usize,
    /// Maximum number of variants that wait to be made later (`formats.avif_later`). Further ones are dropped.
    pub late_variants_max: usize,
    pub span_export: SpanExport,
}

/// Export of trace spans to the collector.
#[derive(Debug, Clone)]
pub struct SpanExport {
    /// Time for the collector to accept one batch, and for the last spans at shutdown.
    pub timeout: Duration,
    /// Time for which spans are collected into a batch.
    pub interval: Duration,
    /// Maximum number of queued spans, of at most 8 KiB each. Further spans are dropped and counted.
    pub queue_length: usize,
    /// Maximum number of spans in one batch. A full batch is sent before its interval ends.
    pub batch_length: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            flights_max: 4096,
            revalidations_max: 1024,
            background_revalidations_max: 64,
            queue_length: nonzero(1000),
            requests_per_connection: 100_000,
            late_variants_max: 1000,
            span_export: SpanExport::default(),
        }
    }
}

impl Default for SpanExport {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            interval: Duration::from_secs(5),
            queue_length: 2048,
            batch_length: 512,
        }
    }
}
