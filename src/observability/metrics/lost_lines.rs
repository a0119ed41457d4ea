//! Log lines that were not written.
//!
//! These counts belong to the process, not to a proxy, because its logs do.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Counts the lost lines of one log.
#[derive(Debug, Default)]
pub struct LostLines(AtomicU64);

/// Events, on standard error.
pub static LOST_EVENTS: LostLines = LostLines::new();
/// Requests, on standard output.
pub static LOST_ACCESS_LINES: LostLines = LostLines::new();

impl LostLines {
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The number of lines that were lost so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub fn add(&self, lines: u64) {
        self.0.fetch_add(lines, Relaxed);
    }
}

#[derive(Debug)]
struct LogCollector;

pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(LogCollector));
}

impl Collector for LogCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Log lines lost because the log was written too slowly or not at all";
        let mut family = encoder.encode_descriptor("log_lines_lost", help, None, MetricType::Counter)?;
        for (log, lines) in [("events", &LOST_EVENTS), ("access", &LOST_ACCESS_LINES)] {
            let labels = [("log", log)];
            family.encode_family(&labels)?.encode_counter::<[(&str, &str); 1], _, u64>(&lines.get(), None)?;
        }
        Ok(())
    }
}
