//! The numbers: what has happened so far, and how things stand, for Prometheus and the dashboard.
//!
//! One [`Metrics`] belongs to one proxy and is handed down; there is no process-wide one, since tests run several
//! proxies side by side. This is the lowest layer: it knows no other part of the program but the words for outcomes.
//!
//! How a part counts:
//!
//! - *Something happened*: a counter or histogram in a group of its own below `metrics/` (see [`S3`] or [`WriteBacks`]),
//!   a field of [`Metrics`], registered in [`Metrics::new`]. A group is cheap to clone and the clones count together, so
//!   a lower layer takes its group alone (`metrics.s3.clone()`), never the whole.
//! - *How things stand* (a length, bytes in use): nothing is counted; [`Metrics::watch`] is told how to read it when it is
//!   asked for. What the reading holds must not hold the [`Metrics`]: give it a `Weak` or a part of its own.
//!
//! Every name begins with `resized_`, has its unit at its end, and is listed in docs/METRICS.md, which a test holds. Labels take few
//! values, never a key, a path or anything else that a client chooses.

use std::fmt;
use std::time::SystemTime;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;

mod requests;
mod leases;
mod notifications;
mod resize;
mod process;
mod purges;
mod s3;
mod spans;
mod uploads;
mod gauges;
mod write_backs;

pub use gauges::Reading;
pub use leases::Leases;
pub use notifications::Notices;
pub use prometheus_client::metrics::counter::Counter;
pub use purges::Purges;
pub use requests::{Answers, Outcome};
pub use resize::{Pixels, Wait};
pub use s3::{Kind, S3};
pub use spans::Spans;
pub use uploads::Uploads;
pub use write_backs::WriteBacks;

use gauges::Watched;

/// All numbers of one proxy.
pub struct Metrics {
    registry: Registry,
    watched: Watched,
    /// Requests, by how they ended.
    pub answers: Answers,
    /// Renditions that memory gave up for room.
    pub evictions: Counter,
    /// Requests to S3, tries counted singly, as they are billed.
    pub s3: S3,
    /// The way of pixels: waits and work.
    pub pixels: Pixels,
    /// Variants on their way into the store.
    pub write_backs: WriteBacks,
    /// Originals on their way in.
    pub uploads: Uploads,
    /// Notifications on their way to the API.
    pub notices: Notices,
    /// Who makes a variant, where nodes agree on that.
    pub leases: Leases,
    /// Variants dropped because their originals changed.
    pub purges: Purges,
    /// Spans on their way to the collector of traces.
    pub spans: Spans,
}

/// Of what [`Metrics::encode`] writes: the Prometheus text format.
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

impl Metrics {
    /// All at nought.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("resized");
        let (answers, evictions) = (Answers::register(&mut registry), Counter::default());
        registry.register("cache_evictions", "Renditions that memory gave up for room", evictions.clone());
        let s3 = S3::register(&mut registry);
        let pixels = Pixels::register(&mut registry);
        let write_backs = WriteBacks::register(&mut registry);
        let uploads = Uploads::register(&mut registry);
        let notices = Notices::register(&mut registry);
        let leases = Leases::register(&mut registry);
        let purges = Purges::register(&mut registry);
        let spans = Spans::register(&mut registry);
        let watched = Watched::register(&mut registry);
        process::register(&mut registry, SystemTime::now());
        Self { registry, watched, answers, evictions, s3, pixels, write_backs, uploads, notices, leases, purges, spans }
    }

    /// Has `readings` read whenever the numbers are asked for, as the gauge `resized_{name}`. A name that is already
    /// watched gets these readings in place of its former ones.
    pub fn watch(&self, name: &'static str, help: &'static str, readings: Vec<Reading>) {
        self.watched.insert(name, help, readings);
    }

    /// All numbers in the Prometheus text format, version 0.0.4.
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
    fn what_was_counted_is_told() {
        let metrics = Metrics::new();
        metrics.answers.record(Outcome::Hit, Duration::from_micros(30));
        metrics.answers.record(Outcome::Hit, Duration::from_millis(3));
        metrics.s3.pay(Kind::Put);
        metrics.s3.pay(Kind::Get);
        metrics.s3.count(Kind::Put, Some(200));
        metrics.s3.count(Kind::Get, None);
        metrics.watch("depth", "How deep", vec![Reading::new(|| 7.0).label("of", "this")]);
        let text = metrics.encode();
        assert_eq!(value(&text, r#"resized_requests_total{outcome="hit"}"#), 2.0);
        assert_eq!(value(&text, r#"resized_request_seconds_bucket{outcome="hit",le="5e-05"}"#), 1.0);
        assert_eq!(value(&text, r#"resized_request_seconds_count{outcome="hit"}"#), 2.0);
        assert!((value(&text, r#"resized_request_seconds_sum{outcome="hit"}"#) - 0.00303).abs() < 1e-9);
        assert_eq!(value(&text, r#"resized_s3_requests_total{kind="put",status="200"}"#), 1.0);
        assert_eq!(value(&text, r#"resized_s3_requests_total{kind="get",status="none"}"#), 1.0);
        assert!((value(&text, "resized_s3_cost_dollars_total") - 0.000_005_4).abs() < 1e-12);
        assert_eq!(value(&text, r#"resized_depth{of="this"}"#), 7.0);
        assert!(value(&text, "resized_process_resident_memory_bytes") > 1e6);
        assert!(text.contains(concat!(r#"resized_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#)));
    }

    #[test]
    fn a_name_watched_again_has_the_new_readings_alone() {
        let metrics = Metrics::new();
        metrics.watch("depth", "How deep", vec![Reading::new(|| 1.0)]);
        metrics.watch("depth", "How deep", vec![Reading::new(|| 2.0)]);
        assert_eq!(metrics.encode().lines().filter(|line| line.starts_with("resized_depth")).count(), 1);
        assert_eq!(value(&metrics.encode(), "resized_depth"), 2.0);
    }

    #[test]
    fn every_family_is_described_once_and_has_our_prefix() {
        let text = Metrics::new().encode();
        let mut names = BTreeSet::new();
        for line in text.lines() {
            assert!(line.starts_with("resized_") || line.starts_with("# "), "{line}");
            if let Some(name) = line.strip_prefix("# TYPE ").and_then(|line| line.split(' ').next()) {
                assert!(names.insert(name), "{name} twice");
            }
        }
        assert!(names.len() > 8, "{names:?}");
    }
}
