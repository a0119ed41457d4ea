//! What is read only when it is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// One value of a gauge, and how it is read. Reading must be quick and must not block.
pub struct Reading {
    labels: Vec<(&'static str, &'static str)>,
    read: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Reading {
    pub fn new(read: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self { labels: Vec::new(), read: Box::new(read) }
    }

    /// The same with one more label.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: &'static str) -> Self {
        self.labels.push((name, value));
        self
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("labels", &self.labels).finish_non_exhaustive()
    }
}

type Gauges = BTreeMap<&'static str, (&'static str, Vec<Reading>)>;

/// Gauges by name. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched(Arc<Mutex<Gauges>>);

impl Watched {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let watched = Self::default();
        registry.register_collector(Box::new(watched.clone()));
        watched
    }

    pub(super) fn insert(&self, name: &'static str, help: &'static str, readings: Vec<Reading>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, (help, readings));
    }
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for (name, (help, readings)) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for Reading { labels, read } in readings {
                if labels.is_empty() {
                    family.encode_gauge(&read())?;
                } else {
                    family.encode_family(&labels.as_slice())?.encode_gauge(&read())?;
                }
            }
        }
        Ok(())
    }
}
