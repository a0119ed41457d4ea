//! Builds a proxy from settings. Stores are opened and threads started once; a reload builds all other parts again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{ObjectInfoCache, Proxy, ProxyParts, ResponsePolicy};
use crate::config::{Config, StoreAddress, Tuning};
use crate::observability::metrics::{Gauge, Metrics};
use crate::observability::traces::{self, Traces};
use crate::origin::Store;
use crate::outbox::Notifier;
use crate::resize::Resizer;
use crate::support::error_chain::chain;
use crate::support::tasks::Tasks;
use crate::upload::{UploadDependencies, Uploads};
use crate::variant::{Grammar, GrammarError, ObjectKey};
use crate::variants::{Variants, VariantsParts};

/// Why the proxy cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    #[error("{key}: the store cannot be opened")]
    Store { key: &'static str, source: crate::origin::StoreOpenError },
    #[error(transparent)]
    Notify(#[from] crate::outbox::NotifierError),
    #[error(transparent)]
    Template(#[from] crate::upload::TemplateError),
    #[error(transparent)]
    Traces(#[from] traces::CollectorError),
    #[error("the resize threads cannot be started")]
    Threads(#[source] std::io::Error),
}

/// Parts that a reload shares between the old and the new proxy.
struct SharedParts {
    variants: Variants,
    originals: Store,
    object_infos: ObjectInfoCache,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    traces: Traces,
    notifier: Option<Notifier>,
}

impl Proxy {
    /// Opens the stores and starts the resize threads. Flights and write-backs run on `tasks`.
    ///
    /// # Errors
    /// Names the key of a setting that cannot be used, or of a store that cannot be opened.
    pub async fn open(
        config: &Config,
        tuning: &Tuning,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, OpenError> {
        let open = async |key, address: &StoreAddress, public_url: &str| {
            let store = Store::open(address, public_url, &config.s3, &metrics.s3).await;
            store.map_err(|source| OpenError::Store { key, source })
        };
        let originals = open("originals.store", &config.originals.store, &config.originals.public_url).await?;
        let store = open("variants.store", &config.variants.store, &config.variants.public_url).await?;
        let notifier = match (config.notify.url.as_str(), &config.notify.outbox) {
            ("", _) => None,
            (_, None) => Some(Notifier::new(&config.notify, store.clone(), &metrics, tasks.clone())?),
            (_, Some(outbox)) => {
                let outbox = open("notify.outbox", outbox, "").await?;
                Some(Notifier::new(&config.notify, outbox, &metrics, tasks.clone())?)
            }
        };
        register_store_gauges(&originals, &store, &metrics);
        register_limit_gauges(config, &metrics);
        let resizer = Resizer::start(config.work.threads, tuning.queue_length, metrics.resize.clone());
        let policy = Arc::new(ResponsePolicy::new(config));
        let variants = Variants::new(VariantsParts {
            config,
            tuning,
            originals: originals.clone(),
            variants: store,
            resizer: Arc::new(resizer.map_err(OpenError::Threads)?),
            headers: policy.clone(),
            tasks: tasks.clone(),
            metrics: &metrics,
        });
        let object_infos = ObjectInfoCache::new(tuning, tasks.clone());
        let traces = Traces::new(config, &tuning.span_export, metrics.spans.clone())?;
        let shared = SharedParts { variants, originals, object_infos, tasks, metrics, traces, notifier };
        Self::from_shared(config, policy, shared)
    }

    /// The same proxy with other settings. Memory, stores, flights and threads are shared with `self` and keep their
    /// settings. `self` goes on with the requests that it has begun.
    ///
    /// # Errors
    /// Names the key of a setting that cannot be used.
    pub fn reconfigured(&self, config: &Config) -> Result<Self, OpenError> {
        let policy = Arc::new(ResponsePolicy::new(config));
        let shared = SharedParts {
            variants: self.variants.reconfigured(config, policy.clone()),
            originals: self.originals.store().clone(),
            object_infos: self.originals.infos().clone(),
            tasks: self.tasks.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.with_config(config),
            notifier: self.notifier.clone(),
        };
        Self::from_shared(config, policy, shared)
    }

    fn from_shared(config: &Config, policy: Arc<ResponsePolicy>, shared: SharedParts) -> Result<Self, OpenError> {
        let SharedParts { variants, originals, object_infos, tasks, metrics, traces, notifier } = shared;
        let grammar = Grammar::new(config)?;
        let dependencies = UploadDependencies {
            grammar: grammar.clone(),
            originals: originals.clone(),
            notifier: notifier.clone(),
            metrics: metrics.uploads.clone(),
            tasks: tasks.clone(),
        };
        let uploads = Uploads::new(config, dependencies)?;
        Ok(Self::new(ProxyParts {
            config,
            grammar,
            policy,
            variants,
            originals,
            object_infos,
            uploads,
            tasks,
            metrics,
            traces,
            notifier,
        }))
    }

    /// Checks that both stores respond.
    ///
    /// # Errors
    /// The key in config of the store that does not; the cause is logged.
    pub async fn ready(&self) -> Result<(), &'static str> {
        // An object with this key never exists.
        let key = ObjectKey::new("resized-ready").map_err(|_| "internal")?;
        let check = async |name: &'static str, store: &Store| match store.head(&key).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(name, error = chain(&error), "object store does not respond");
                Err(name)
            }
        };
        tokio::try_join!(
            check("originals.store", self.originals_store()),
            check("variants.store", self.variants.store())
        )?;
        Ok(())
    }

    /// Waits at most `timeout` for flights and write-backs, then ends the resize threads and sends the remaining spans.
    /// `false` if work was left unfinished.
    pub async fn drain(&self, timeout: Duration) -> bool {
        let drained = self.tasks.drain(timeout).await;
        self.variants.shutdown();
        self.traces.shutdown().await;
        drained
    }

    /// The exporter of traces.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.traces
    }

    /// The notifier of the API, if `notify.url` is set.
    #[must_use]
    pub fn notifier(&self) -> Option<&Notifier> {
        self.notifier.as_ref()
    }

    /// Delivers the notifications in the outbox until `stop`.
    pub async fn notify(&self, stop: CancellationToken) {
        if let Some(notifier) = &self.notifier {
            notifier.sweep(stop).await;
        }
    }
}

/// Logs the capabilities of both stores and advice on missing ones.
pub async fn log_probes(originals: &Store, variants: &Store) {
    for (store, findings) in
        [("originals", originals.probe_reading().await), ("variants", variants.probe_writing().await)]
    {
        match findings {
            Ok(findings) => {
                tracing::info!(store, %findings, "store probed");
                for advice in findings.advice() {
                    tracing::warn!(store, advice = advice.text, "store lacks a capability");
                }
            }
            Err(error) => tracing::error!(store, error = chain(&error), "store could not be probed"),
        }
    }
}

fn register_store_gauges(originals: &Store, variants: &Store, metrics: &Metrics) {
    let open = [("originals", originals), ("variants", variants)].map(|(name, store)| {
        let store = store.clone();
        Gauge::new(move || f64::from(u8::from(store.is_circuit_open()))).with_label("store", name)
    });
    metrics.register_gauge("s3_circuit_open", "1 while the circuit breaker of a store is open", open.into());
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn register_limit_gauges(config: &Config, metrics: &Metrics) {
    let work = &config.work;
    let limits = [
        ("cache", config.cache.memory),
        ("download", work.download_memory),
        ("pixels", work.pixel_memory),
        ("write_back", work.write_back_memory),
    ];
    let gauge = |(of, limit): (_, bytesize::ByteSize)| Gauge::new(move || limit.as_u64() as f64).with_label("of", of);
    metrics.register_gauge("limit_bytes", "Configured memory limits", limits.into_iter().map(gauge).collect());
}
