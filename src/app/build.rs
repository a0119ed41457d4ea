//! Builds the parts of the server.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::descriptors;
use super::memory_gauges;
use super::{App, BuildError, ListenerPauses, Reloadable, SharedParts, Stores};
use crate::config::{Config, MemoryPlan, TABLES_BYTES, Tuning};
use crate::observability::metrics::{Gauge, Metrics};
use crate::observability::traces::Traces;
use crate::outbox::Notifier;
use crate::proxy::{ObjectInfoCache, Proxy, ProxyParts, ResponsePolicy};
use crate::resize::Resizer;
use crate::server::ConnectionConfig;
use crate::support::descriptors::raise_limit;
use crate::support::hot_swap::HotSwap;
use crate::support::listener::AcceptPauses;
use crate::support::memory::{MemoryAccount, MemoryShare, QueueLimits, host_memory};
use crate::support::open_bodies::OpenBodies;
use crate::support::tasks::Tasks;
use crate::upload::{UploadDependencies, Uploads};
use crate::variant::Grammar;
use crate::variants::{Variants, VariantsParts};

impl App {
    /// Builds all parts: opens the stores and starts the resize threads. Background tasks run on the current runtime.
    ///
    /// # Errors
    /// Names the key of a setting that is invalid or cannot be applied.
    pub async fn build(config: Config, tuning: Tuning) -> Result<Self, BuildError> {
        let runtime = Handle::current();
        let tasks = Tasks::new(runtime.clone());
        let metrics = Arc::new(Metrics::new());
        let plan = MemoryPlan::new(&config)?;
        plan.check_host(host_memory())?;
        let memory = open_account(&plan, &config, &tuning);
        let connections_max = descriptors::connections_max(&config, &plan, raise_limit())?;
        let open_bodies = Arc::new(OpenBodies::new(memory.budget(MemoryShare::Bodies).clone()));
        let _tables = memory.budget(MemoryShare::Metadata).try_acquire(TABLES_BYTES).ok().map(Arc::new);
        let stores = Stores::open(&config, &metrics).await?;
        stores.register_gauges(&metrics);
        memory_gauges::register(&memory, &plan, &metrics);
        let notifier = open_notifier(&config, &stores, &metrics, &tasks).await?;
        let traces = Traces::new(&config, &tuning.span_export, metrics.spans.clone())?;
        let policy = Arc::new(ResponsePolicy::new(&config));
        let variants = build_variants(VariantsContext {
            config: &config,
            tuning: &tuning,
            stores: &stores,
            policy: policy.clone(),
            tasks: &tasks,
            metrics: &metrics,
            memory: &memory,
            cache_bytes: plan.cache,
        })?;
        let object_infos = ObjectInfoCache::new(&tuning, tasks.clone());
        let shared =
            SharedParts { stores, object_infos, notifier, traces, tasks, metrics, memory, open_bodies, _tables };
        let buffers = shared.memory.budget(MemoryShare::Bodies).clone();
        let connections = ConnectionConfig::new(&config.server, connections_max, buffers, &tuning);
        let reloadable = Reloadable {
            proxy: HotSwap::new(shared.build_proxy(&config, policy, variants)?),
            connections: HotSwap::new(connections?),
            admin_token: HotSwap::new(config.admin.token.clone()),
            config: HotSwap::new(config),
        };
        let accept_pauses = ListenerPauses::default();
        accept_pauses.register_gauge(&shared.metrics);
        Ok(Self { runtime, reloadable, shared, reloader: None, access_log: None, accept_pauses })
    }
}

impl SharedParts {
    fn build_proxy(
        &self,
        config: &Config,
        policy: Arc<ResponsePolicy>,
        variants: Variants,
    ) -> Result<Proxy, BuildError> {
        let grammar = Grammar::new(config)?;
        let uploads = UploadDependencies {
            grammar: grammar.clone(),
            originals: self.stores.originals.clone(),
            memory: self.memory.budget(MemoryShare::Uploads).clone(),
            notifier: self.notifier.clone(),
            metrics: self.metrics.uploads.clone(),
            tasks: self.tasks.clone(),
        };
        Ok(Proxy::new(ProxyParts {
            config,
            grammar,
            policy,
            variants,
            originals: self.stores.originals.clone(),
            object_infos: self.object_infos.clone(),
            uploads: Uploads::new(config, uploads)?,
            tasks: self.tasks.clone(),
            metrics: self.metrics.clone(),
            traces: self.traces.with_config(config),
            open_bodies: self.open_bodies.clone(),
        }))
    }

    /// Builds a proxy with the settings of `config`. It shares the cache, flights, threads and memory budgets of
    /// `current`.
    ///
    /// # Errors
    /// Names the key of a setting that is invalid.
    pub(super) fn rebuild_proxy(&self, current: &Proxy, config: &Config) -> Result<Proxy, BuildError> {
        let policy = Arc::new(ResponsePolicy::new(config));
        let variants = current.variants().reconfigured(config, policy.clone());
        self.build_proxy(config, policy, variants)
    }
}

/// Opens the outbox, if `notify.url` is set.
///
/// # Errors
/// Names the key of a setting that is invalid.
pub async fn open_notifier(
    config: &Config,
    stores: &Stores,
    metrics: &Metrics,
    tasks: &Tasks,
) -> Result<Option<Notifier>, BuildError> {
    if config.notify.url.is_empty() {
        return Ok(None);
    }
    let outbox = stores.open_outbox(config, metrics).await?;
    Ok(Some(Notifier::new(&config.notify, outbox, metrics, tasks.clone())?))
}

/// The parts that [`build_variants`] uses.
#[derive(Debug)]
pub struct VariantsContext<'a> {
    pub config: &'a Config,
    pub tuning: &'a Tuning,
    pub stores: &'a Stores,
    pub policy: Arc<ResponsePolicy>,
    pub tasks: &'a Tasks,
    pub metrics: &'a Metrics,
    pub memory: &'a MemoryAccount,
    /// Limit of cached variants.
    pub cache_bytes: u64,
}

/// Starts the resize threads and builds the service that finds or makes variants.
///
/// # Errors
/// The resize threads cannot be started.
pub fn build_variants(context: VariantsContext<'_>) -> Result<Variants, BuildError> {
    let VariantsContext { config, tuning, stores, policy, tasks, metrics, memory, cache_bytes } = context;
    let resizer = Resizer::start(config.work.threads, tuning.queue_length, metrics.resize.clone());
    Ok(Variants::new(VariantsParts {
        config,
        tuning,
        originals: stores.originals.clone(),
        variants: stores.variants.clone(),
        resizer: Arc::new(resizer.map_err(BuildError::Threads)?),
        headers: policy,
        tasks: tasks.clone(),
        metrics,
        memory: memory.clone(),
        cache_bytes,
    }))
}

/// Opens the memory account with the shares of `plan`.
#[must_use]
pub fn open_account(plan: &MemoryPlan, config: &Config, tuning: &Tuning) -> MemoryAccount {
    let queue = QueueLimits { waiting_max: tuning.queue_length.get(), max_wait: config.work.queue_time };
    MemoryAccount::new(|share| plan.bytes(share), queue)
}

impl ListenerPauses {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    fn register_gauge(&self, metrics: &Metrics) {
        let gauge = |(listener, pauses): (_, &AcceptPauses)| {
            let pauses = pauses.clone();
            Gauge::new(move || pauses.count() as f64).with_label("listener", listener)
        };
        let gauges = [("public", &self.public), ("admin", &self.admin)].map(gauge);
        metrics.register_gauge("accept_pauses", "Pauses of accepting connections since the start", gauges.into());
    }
}
