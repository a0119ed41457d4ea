//! Requests by outcome, and how long each took: counted on the way of a hit, so cheap before all else.
//!
//! To record is two relaxed additions to memory that few other threads write: counts are spread over shards, a serving
//! thread keeps to one, and they are added up when they are asked for.

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

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Outcome {
    /// A variant from memory, a redirect to it, or the word that the client's copy is still good.
    Hit,
    /// A variant that another request had already begun to find or make.
    Joined,
    /// A variant found in its store.
    Stored,
    /// A variant from memory whose original was looked after for this request, and has not changed.
    Revalidated,
    /// A variant from memory whose original cannot be looked after, since the store fails.
    Stale,
    /// A variant made for this request.
    Made,
    /// A plain original.
    Original,
    /// A size that is not allowed, sent to the next that is.
    Snapped,
    /// What may be asked, and by whom: `OPTIONS`.
    Options,
    /// A path or method that asks for nothing.
    BadRequest,
    /// A signature that is missing, wrong or expired.
    Forbidden,
    /// A client, or what it asks of one original, is over its rate.
    Limited,
    /// No such original, or none that is served.
    NotFound,
    /// A condition or range of the request that does not hold: 412, 416.
    Precondition,
    /// An original of which no picture can be made.
    Unprocessable,
    /// A queue or a budget was full.
    Overloaded,
    /// The store refused or broke.
    StoreFailed,
    /// The store took too long.
    StoreSlow,
    /// A fault of our own.
    Internal,
}

impl Outcome {
    /// All of them, in the order of their numbers.
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

    /// The label's value.
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

/// Upper bounds of the histogram's buckets, in microseconds; above the last there is one more.
const BOUNDS_US: [u64; 19] = [
    25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// More serving threads than this share shards.
const SHARDS: usize = 16;

/// Times of one outcome, as one shard has seen them.
#[derive(Default)]
struct Times {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_ns: AtomicU64,
}

type Shard = CachePadded<[Times; Outcome::ALL.len()]>;

/// Requests by outcome, with their times until the answer's header was ready.
#[derive(Clone)]
pub struct Answers {
    shards: Arc<[Shard]>,
}

impl Answers {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let answers = Self { shards: (0..SHARDS).map(|_| Shard::default()).collect() };
        registry.register_collector(Box::new(answers.clone()));
        answers
    }

    /// Counts a request that took `elapsed`.
    pub fn record(&self, outcome: Outcome, elapsed: Duration) {
        let times = &self.shards[shard()][outcome as usize];
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS_US.len());
        times.buckets[bucket].fetch_add(1, Relaxed);
        times.sum_ns.fetch_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Counts by bucket, and the seconds of all together.
    fn sum(&self, outcome: Outcome) -> ([u64; BOUNDS_US.len() + 1], f64) {
        let mut counts = [0; BOUNDS_US.len() + 1];
        let mut seconds = 0.0;
        for shard in &*self.shards {
            let times = &shard[outcome as usize];
            for (count, bucket) in counts.iter_mut().zip(&times.buckets) {
                *count += bucket.load(Relaxed);
            }
            seconds += Duration::from_nanos(times.sum_ns.load(Relaxed)).as_secs_f64();
        }
        (counts, seconds)
    }
}

/// The shard of this thread: threads take them in turn as they come.
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

impl Collector for Answers {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Requests by outcome";
        let mut family = encoder.encode_descriptor("requests", help, None, MetricType::Counter)?;
        for outcome in Outcome::ALL {
            let count: u64 = self.sum(outcome).0.iter().sum();
            family
                .encode_family(&[("outcome", outcome.as_str())])?
                .encode_counter::<NoLabelSet, _, f64>(&count, None)?;
        }
        let help = "Time from a request's header to its answer's header";
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

impl fmt::Debug for Answers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_stands_at_its_number() {
        for (n, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, n);
        }
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let answers = Answers::register(&mut Registry::default());
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| (0..1000).for_each(|n| answers.record(Outcome::Made, Duration::from_millis(n))));
            }
        });
        let (counts, seconds) = answers.sum(Outcome::Made);
        assert_eq!(counts.iter().sum::<u64>(), 2000 * SHARDS as u64);
        assert!((seconds - 499.5 * 2.0 * SHARDS as f64).abs() < 1e-6, "{seconds}");
        assert_eq!(answers.sum(Outcome::Hit).0, [0; BOUNDS_US.len() + 1]);
    }
}
