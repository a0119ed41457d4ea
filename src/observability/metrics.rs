//! Prometheus metrics, for the admin listener and the dashboard.
//!
//! One [`Metrics`] belongs to one proxy and is passed down; it is not global, because tests run several proxies in one
//! process. This is the lowest layer and imports no other part of the program.
//!
//! There are two ways to add a metric:
//!
//! - *Counters and histograms* live in a group below `metrics/`, such as [`S3Metrics`] or [`WriteBackMetrics`]. The group is a
//!   field of [`Metrics`] and is registered in [`Metrics::new`]. Groups are cheap to clone and clones share their counters,
//!   so a lower layer receives only its own group (`metrics.s3.clone()`).
//! - *Gauges* (a queue length, bytes in use) are read at scrape time by a callback; see [`Metrics::register_gauge`].
//!   The callback must not own the [`Metrics`], because such a reference cycle would never be freed. Give it a `Weak`,
//!   or a value that does not own the [`Metrics`].
//!
//! Names start with `resized_` and end with their unit. A test checks that docs/METRICS.md lists them. Labels take few
//! values and never contain a key, a path or other client input.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;

mod gauges;
mod late;
mod leases;
mod lost_lines;
mod notifications;
mod process;
mod purges;
mod requests;
mod resize;
mod s3;
mod spans;
mod uploads;
mod write_backs;

pub use gauges::Gauge;
pub use late::LateMetrics;
pub use leases::LeaseMetrics;
pub use lost_lines::{LOST_ACCESS_LINES, LOST_EVENTS, LostLines};
pub use notifications::NotificationMetrics;
pub use process::resident_bytes;
pub use prometheus_client::metrics::counter::Counter;
pub use purges::PurgeMetrics;
pub use requests::{Outcome, RequestMetrics};
pub use resize::{ResizeMetrics, WaitKind};
pub use s3::{S3Metrics, S3RequestKind};
pub use spans::SpanMetrics;
pub use uploads::UploadMetrics;
pub use write_backs::WriteBackMetrics;

use gauges::GaugeRegistry;

/// All metrics of one proxy.
pub struct Metrics {
    registry: Registry,
    gauges: GaugeRegistry,
    /// Requests by outcome.
    pub requests: RequestMetrics,
    /// Cached variants evicted to make room for others.
    pub evictions: Counter,
    /// Requests to S3, counting each attempt.
    pub s3: S3Metrics,
    /// Wait and work times of resize jobs.
    pub resize: ResizeMetrics,
    /// Variants written back to their store.
    pub write_backs: WriteBackMetrics,
    /// Uploads of originals.
    pub uploads: UploadMetrics,
    /// Notifications sent to the API.
    pub notifications: NotificationMetrics,
    /// Leases of variants (`fleet.lease`).
    pub leases: LeaseMetrics,
    /// Purges of variants whose original changed.
    pub purges: PurgeMetrics,
    /// Spans exported to the trace collector.
    pub spans: SpanMetrics,
}

/// Media type of the text that [`Metrics::encode`] returns.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

impl Metrics {
    /// Creates metrics whose counters are all zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("resized");
        let requests = RequestMetrics::register(&mut registry);
        let evictions = Counter::default();
        registry.register("cache_evictions", "Cached variants evicted to make room for others", evictions.clone());
        let s3 = S3Metrics::register(&mut registry);
        let resize = ResizeMetrics::register(&mut registry);
        let write_backs = WriteBackMetrics::register(&mut registry);
        let uploads = UploadMetrics::register(&mut registry);
        let notifications = NotificationMetrics::register(&mut registry);
        let leases = LeaseMetrics::register(&mut registry);
        let purges = PurgeMetrics::register(&mut registry);
        let spans = SpanMetrics::register(&mut registry);
        let gauges = GaugeRegistry::register(&mut registry);
        process::register(&mut registry, SystemTime::now());
        lost_lines::register(&mut registry);
        Self {
            registry,
            gauges,
            requests,
            evictions,
            s3,
            resize,
            write_backs,
            uploads,
            notifications,
            leases,
            purges,
            spans,
        }
    }

    /// Registers the gauge `resized_{name}`, whose series are read at each scrape. Replaces the gauge of that name, if there
    /// is one.
    pub fn register_gauge(&self, name: &'static str, help: &'static str, gauges: Vec<Gauge>) {
        self.gauges.insert(name, help, gauges);
    }

    /// Returns all metrics in the Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(32 * 1024);
        // Writing to a String cannot fail.
        let _ = prometheus_text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn value(text: &str, series: &str) -> f64 {
        let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.unwrap_or_else(|| panic!("no {series} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn encoded_text_contains_recorded_values() {
        let metrics = Metrics::new();
        metrics.requests.record(Outcome::Hit, Duration::from_micros(30));
        metrics.requests.record(Outcome::Hit, Duration::from_millis(3));
        metrics.s3.record_response(S3RequestKind::Put, Some(200));
        metrics.s3.record_response(S3RequestKind::Get, None);
        metrics.register_gauge("depth", "How deep", vec![Gauge::new(|| 7.0).with_label("of", "this")]);
        let text = metrics.encode();
        assert_eq!(value(&text, r#"resized_requests_total{outcome="hit"}"#), 2.0);
        assert_eq!(value(&text, r#"resized_request_seconds_bucket{outcome="hit",le="5e-05"}"#), 1.0);
        assert_eq!(value(&text, r#"resized_request_seconds_count{outcome="hit"}"#), 2.0);
        assert!((value(&text, r#"resized_request_seconds_sum{outcome="hit"}"#) - 0.00303).abs() < 1e-9);
        assert_eq!(value(&text, r#"resized_s3_requests_total{kind="put",status="200"}"#), 1.0);
        assert_eq!(value(&text, r#"resized_s3_requests_total{kind="get",status="none"}"#), 1.0);
        assert_eq!(value(&text, r#"resized_depth{of="this"}"#), 7.0);
        assert!(value(&text, "resized_process_resident_memory_bytes") > 1e6);
        assert!(text.contains(concat!(r#"resized_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#)));
    }

    #[test]
    fn registering_a_gauge_again_replaces_it() {
        let metrics = Metrics::new();
        metrics.register_gauge("depth", "How deep", vec![Gauge::new(|| 1.0)]);
        metrics.register_gauge("depth", "How deep", vec![Gauge::new(|| 2.0)]);
        assert_eq!(metrics.encode().lines().filter(|line| line.starts_with("resized_depth")).count(), 1);
        assert_eq!(value(&metrics.encode(), "resized_depth"), 2.0);
    }

    #[test]
    fn every_family_is_described_once_and_has_the_prefix() {
        let text = Metrics::new().encode();
        let mut names = BTreeSet::new();
        for line in text.lines() {
            assert!(line.starts_with("resized_") || line.starts_with("# "), "{line}");
            if let Some(name) = line.strip_prefix("# TYPE ").and_then(|line| line.split(' ').next()) {
                assert!(names.insert(name), "{name} is described twice");
            }
        }
        assert!(names.len() > 8, "{names:?}");
    }
}
