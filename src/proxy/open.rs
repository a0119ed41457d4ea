//! A proxy out of settings: its stores are opened and its threads started once, all else is made anew with other settings.

use std::sync::Arc;

use super::Proxy;
use super::original::Sight;
use super::path_cache::Readings;
use super::response_headers::Policy;
use crate::cache::Cache;
use crate::config::{Config, StoreAddress, Tuning};
use crate::observability::metrics::{Counter, Gauge, Metrics};
use crate::observability::traces::{self, Traces};
use crate::origin::Store;
use crate::outbox::Notifier;
use crate::support::tasks::Tasks;
use crate::upload::{UploadDependencies, Uploads};
use crate::variant::{Grammar, GrammarError, ObjectKey, Signer, Variant};
use crate::variants::invalidation_log::Purges;
use crate::variants::make::Maker;
use crate::variants::rendition::Answer;
use crate::variants::resources::Works;

/// Why the proxy cannot start.
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

/// What one proxy hands on to the next, whose settings are others.
struct Kept {
    renditions: Cache<Variant, Answer>,
    sights: Cache<ObjectKey, Sight>,
    works: Works,
    originals: Store,
    variants: Store,
    purges: Arc<Purges>,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    traces: Traces,
    notifier: Option<Notifier>,
}

/// What first looks at originals may occupy in memory.
const SIGHTS_BYTES: u64 = 4 << 20;

impl Proxy {
    /// Opens the stores and starts the resize threads. Flights and write-backs run on `tasks`; all is counted in `metrics`.
    ///
    /// # Errors
    /// A setting that cannot be used, or a store that cannot be opened, with the key in config.
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
        let variants = open("variants.store", &config.variants.store, &config.variants.public_url).await?;
        let purges = Arc::new(Purges::default());
        let works = Works::start(config, tuning, &variants, &tasks, &purges, &metrics)?;
        works.watch(&metrics);
        watch_stores(&originals, &variants, &metrics);
        let notifier = match (config.notify.url.as_str(), &config.notify.outbox) {
            ("", _) => None,
            (_, None) => Some(Notifier::new(&config.notify, variants.clone(), &metrics, tasks.clone())?),
            (_, Some(outbox)) => {
                let outbox = open("notify.outbox", outbox, "").await?;
                Some(Notifier::new(&config.notify, outbox, &metrics, tasks.clone())?)
            }
        };
        let flights = tuning.flights_max;
        let renditions = Cache::new(config.cache.memory.as_u64(), flights, tasks.clone(), metrics.evictions.clone());
        let sights = Cache::new(SIGHTS_BYTES, flights, tasks.clone(), Counter::default());
        watch(&renditions, &metrics);
        watch_limits(config, &metrics);
        let traces = Traces::new(config, &tuning.span_export, metrics.spans.clone())?;
        let kept = Kept { renditions, sights, works, originals, variants, purges, tasks, metrics, traces, notifier };
        Self::with(config, kept)
    }

    /// The same proxy with other settings: it has the same memory, stores, flights and threads, whose own settings stay as
    /// they are. Requests that the former one has begun to answer are answered by it.
    ///
    /// # Errors
    /// A setting that cannot be used.
    pub fn renewed(&self, config: &Config) -> Result<Self, OpenError> {
        let kept = Kept {
            renditions: self.renditions.clone(),
            sights: self.sights.clone(),
            works: self.maker.works(),
            originals: self.originals.clone(),
            variants: self.variants.clone(),
            purges: self.purges.clone(),
            tasks: self.tasks.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.with_config(config),
            notifier: self.notifier.clone(),
        };
        Self::with(config, kept)
    }

    /// Everything that is made of settings alone.
    fn with(config: &Config, kept: Kept) -> Result<Self, OpenError> {
        let Kept { renditions, sights, works, originals, variants, purges, tasks, metrics, traces, notifier } = kept;
        let grammar = Grammar::new(config)?;
        let policy = Arc::new(Policy::new(config));
        let (o, v, p) = (originals.clone(), variants.clone(), purges.clone());
        let maker = Arc::new(Maker::new(config, works, o, v, policy.clone(), tasks.clone(), p));
        let upload_dependencies = UploadDependencies {
            grammar: grammar.clone(),
            originals: originals.clone(),
            notifier: notifier.clone(),
            metrics: metrics.uploads.clone(),
            tasks: tasks.clone(),
        };
        let uploads = Uploads::new(config, upload_dependencies)?;
        Ok(Self {
            renditions,
            sights,
            maker,
            offers: grammar.negotiated().to_vec(),
            side_max: config.limits.max_side.get(),
            signer: Signer::new(&config.signing),
            require: config.signing.require,
            serve: config.originals.serve,
            mode: config.answers.mode,
            overload: config.work.overload,
            remembered: config.cache.failures,
            readings: Readings::default(),
            grammar,
            originals,
            variants,
            purges,
            policy,
            tasks,
            metrics,
            traces,
            uploads,
            notifier,
        })
    }
}

/// Has memory and the flights shown among the numbers.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn watch(renditions: &Cache<Variant, Answer>, metrics: &Metrics) {
    let read = |read: fn(&Cache<Variant, Answer>) -> u64| {
        let renditions = renditions.clone();
        vec![Gauge::new(move || read(&renditions) as f64)]
    };
    metrics.register_gauge("cache_bytes", "Memory that renditions occupy", read(Cache::weight));
    metrics.register_gauge("cache_entries", "Renditions in memory", read(Cache::entries));
    metrics.register_gauge("flights", "Variants that are being found or made", read(|cache| cache.flights() as u64));
}

/// Has it shown among the numbers when a store counts as gone.
fn watch_stores(originals: &Store, variants: &Store, metrics: &Metrics) {
    let gone = [("originals", originals), ("variants", variants)].map(|(name, store)| {
        let store = store.clone();
        Gauge::new(move || f64::from(u8::from(store.is_circuit_open()))).with_label("store", name)
    });
    metrics.register_gauge("s3_circuit_open", "1 while a store counts as gone and is not asked", gone.into());
}

/// Has what config gives shown beside what is in use.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn watch_limits(config: &Config, metrics: &Metrics) {
    let work = &config.work;
    let limits = [
        ("cache", config.cache.memory),
        ("download", work.download_memory),
        ("pixels", work.pixel_memory),
        ("write_back", work.write_back_memory),
    ];
    let reading = |(of, limit): (_, bytesize::ByteSize)| Gauge::new(move || limit.as_u64() as f64).with_label("of", of);
    metrics.register_gauge("limit_bytes", "Memory that config gives", limits.into_iter().map(reading).collect());
}
