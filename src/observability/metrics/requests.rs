//! Requests by outcome, with a histogram of their latency.
//!
//! Every request is recorded, cache hits included, so recording must be cheap: it takes two relaxed atomic additions to a
//! shard that few other threads write to. A serving thread always uses the same shard, and a scrape sums all shards.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// Served from memory: a variant, a redirect to it, or 304.
    Hit,
    /// A variant from a flight that another request had started.
    Joined,
    /// A variant read from its store.
    Stored,
    /// A variant from memory, after this request found its original unchanged.
    Revalidated,
    /// A stale variant from memory, because the store fails and its original cannot be checked.
    Stale,
    /// A variant made for this request.
    Made,
    /// An original, served unchanged.
    Original,
    /// A size that is not allowed, redirected to the nearest allowed one.
    Snapped,
    /// An `OPTIONS` request.
    Options,
    /// An invalid path, or a method that is not allowed.
    BadRequest,
    /// A missing, wrong or expired signature.
    Forbidden,
    /// The client or the original exceeded its rate limit.
    Limited,
    /// The original does not exist or is not served.
    NotFound,
    /// A precondition or range of the request failed: 412, 416.
    Precondition,
    /// An original that cannot be resized.
    Unprocessable,
    /// A queue was full or a memory budget was used up.
    Overloaded,
    /// The store returned an error.
    StoreFailed,
    /// The store timed out.
    StoreSlow,
    /// An internal error.
    Internal,
}

impl Outcome {
    /// All outcomes, in the order of their discriminants.
    pub const ALL: [Self; 19] = [
        Self::Hit,
        Self::Joined,
        Self::Stored,
        Self::Revalidated,
        Self::Stale,
        Self::Made,
        Self::Original,
        Self::Snapped,
        Self::Options,
        Self::BadRequest,
        Self::Forbidden,
        Self::Limited,
        Self::NotFound,
        Self::Precondition,
        Self::Unprocessable,
        Self::Overloaded,
        Self::StoreFailed,
        Self::StoreSlow,
        Self::Internal,
    ];

    /// Value of the label `outcome`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Stored => "stored",
            Self::Revalidated => "revalidated",
            Self::Stale => "stale",
            Self::Made => "made",
            Self::Original => "original",
            Self::Snapped => "snapped",
            Self::Options => "options",
            Self::BadRequest => "bad_request",
            Self::Forbidden => "forbidden",
            Self::Limited => "limited",
            Self::NotFound => "not_found",
            Self::Precondition => "precondition",
            Self::Unprocessable => "unprocessable",
            Self::Overloaded => "overloaded",
            Self::StoreFailed => "store_failed",
            Self::StoreSlow => "store_slow",
            Self::Internal => "internal",
        }
    }
}

/// Upper bounds of the histogram buckets, in microseconds. One more bucket counts longer latencies.
const BOUNDS_US: [u64; 19] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// Number of shards. Serving threads beyond this number share shards.
const SHARDS: usize = 16;

/// Latency histogram of one outcome in one shard.
#[derive(Default)]
struct Latencies {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

type Shard = CachePadded<[Latencies; Outcome::ALL.len()]>;

/// Requests by outcome, with the time until the response header was ready.
#[derive(Clone)]
pub struct RequestMetrics {
    shards: Arc<[Shard]>,
}

impl RequestMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let this = Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() };
        registry.register_collector(Box::new(this.clone()));
        this
    }

    /// Counts a request that took `elapsed`.
    pub fn record(&self, outcome: Outcome, elapsed: Duration) {
        let latencies = &self.shards[shard()][outcome as usize];
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS_US.len());
        latencies.buckets[bucket].fetch_add(1, Relaxed);
        latencies.sum_ns.fetch_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts by bucket and total seconds, summed over all shards.
    fn sum(&self, outcome: Outcome) -> ([u64; BOUNDS_US.len() + 1], f64) {
        let mut counts = [0; BOUNDS_US.len() + 1];
        let mut seconds = 0.0;
        for shard in &*self.shards {
            let latencies = &shard[outcome as usize];
            for (count, bucket) in counts.iter_mut().zip(&latencies.buckets) {
                *count += bucket.load(Relaxed);
            }
            seconds += Duration::from_nanos(latencies.sum_ns.load(Relaxed)).as_secs_f64();
        }
        (counts, seconds)
    }
}

/// Shard of the current thread. Shards are assigned to threads in turn.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static MINE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    MINE.get().unwrap_or_else(|| {
        let mine = NEXT.fetch_add(1, Relaxed) % SHARDS;
        MINE.set(Some(mine));
        mine
    })
}

impl Collector for RequestMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Requests by outcome";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for outcome in Outcome::ALL {
            let count: u64 = self.sum(outcome).0.iter().sum();
            family
                .encode_family(&[("outcome", outcome.as_str())])?
                .encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        let help = "Time from request header to response header, by outcome";
        let mut family = encoder.encode_descriptor("request_seconds", help, None, MetricType::Histogram)?;
        for outcome in Outcome::ALL {
            let (counts, seconds) = self.sum(outcome);
            let bounds = BOUNDS_US.iter().map(|us| Duration::from_micros(*us).as_secs_f64()).chain([f64::MAX]);
            let buckets: Vec<_> = bounds.zip(counts).collect();
            let labels = [("outcome", outcome.as_str())];
            let mut series = family.encode_family(&labels)?;
            series.encode_histogram::<NoLabelSet>(seconds, counts.iter().sum(), &buckets, None)?;
        }
        Ok(())
    }
}

impl fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_outcomes_are_listed_in_the_order_of_their_discriminants() {
        for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, n);
        }
    }

    #[test]
    fn concurrent_records_are_all_counted() {
        let requests = RequestMetrics::register(&mut Registry::default());
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..1000).for_each(|n| requests.record(Outcome::Made, Duration::from_millis(n))));
            }
        });
        let (counts, seconds) = requests.sum(Outcome::Made);
        assert_eq!(counts.iter().sum::<u64>(), 2000 * SHARDS as u64);
        assert!((seconds - 499.5 * 2.0 * SHARDS as f64).abs() < 1e-6, "{seconds}");
        assert_eq!(requests.sum(Outcome::Hit).0, [0; BOUNDS_US.len() + 1]);
    }
}
