//! Limits and intervals that operators have no reason to change.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::config::nonzero::nonzero;

/// Constants of a running server. They cannot be read from config; tests shorten them.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Variants that are being looked up or made. One more is 503.
    pub flights_max: usize,
    /// Requests that wait for memory, for each kind of memory, or for a resize thread. One more is 503.
    pub queue_length: NonZeroUsize,
    /// Requests after which an HTTP/1.1 connection is closed, which frees its buffers. 0 is no limit.
    pub requests_per_connection: usize,
    pub span_export: SpanExport,
}

/// Export of trace spans to the collector.
#[derive(Debug, Clone)]
pub struct SpanExport {
    /// Time for the collector to accept one batch, and for the last spans at shutdown.
    pub timeout: Duration,
    /// Time that spans are gathered for a batch.
    pub interval: Duration,
    /// Spans in the queue, of at most 8 KiB each. One more is dropped and counted.
    pub queue_length: usize,
    /// Spans in one batch. A full batch is sent before its interval ends.
    pub batch_length: usize,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            flights_max: 4096,
            queue_length: nonzero(1000),
            requests_per_connection: 100_000,
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
