//! Gauges whose value is read by a callback at scrape time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// One series of a gauge. Its callback must be quick and must not block.
pub struct Gauge {
    labels: Vec<(&'static str, &'static str)>,
    read: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Gauge {
    pub fn new(read: impl Fn() -> f64 + Send + Sync + 'static) -> Self {
        Self { labels: Vec::new(), read: Box::new(read) }
    }

    /// Adds a label.
    #[must_use]
    pub fn with_label(mut self, name: &'static str, value: &'static str) -> Self {
        self.labels.push((name, value));
        self
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gauge").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// All series of one gauge.
#[derive(Debug)]
struct GaugeFamily {
    help: &'static str,
    gauges: Vec<Gauge>,
}

/// Gauges by name. Clones share the same gauges.
#[derive(Debug, Clone, Default)]
pub(super) struct GaugeRegistry(Arc<Mutex<BTreeMap<&'static str, GaugeFamily>>>);

impl GaugeRegistry {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        registry.register_collector(Box::new(gauges.clone()));
        gauges
    }

    pub(super) fn insert(&self, name: &'static str, help: &'static str, gauges: Vec<Gauge>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, GaugeFamily { help, gauges });
    }
}

impl Collector for GaugeRegistry {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        for (name, GaugeFamily { help, gauges }) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for Gauge { labels, read } in gauges {
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
