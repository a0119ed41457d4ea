//! `resized serve`: builds the parts, runs them, and stops them in order.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::Context;
use resized::admin;
use resized::admin::routes::{self, AdminContext};
use resized::app::reload::Reload;
use resized::config::Tuning;
use resized::observability::access_log::AccessLog;
use resized::observability::logs;
use resized::observability::metrics::Metrics;
use resized::proxy::{Proxy, log_probes};
use resized::server::{Server, inherited_listeners};
use resized::support::error_chain::chain;
use resized::support::hot_swap::HotSwap;
use resized::support::priority::{self, BLOCKING_THREADS_MAX};
use resized::support::tasks::Tasks;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Settings;

pub(super) fn run(settings: &Settings) -> anyhow::Result<ExitCode> {
    let (config, tuning) = (&settings.config, Tuning::default());
    let log_handle = logs::init(&config.log)?;
    let log = AccessLog::start(&config.log, std::io::stdout()).context("cannot start the access log")?;
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build();
    let runtime = runtime.context("cannot start the runtime")?;
    let tasks = Tasks::new(runtime.handle().clone());

    let metrics = Arc::new(Metrics::new());
    let proxy = Arc::new(runtime.block_on(Proxy::open(config, &tuning, tasks, metrics.clone()))?);
    // Behind the start: a store that is slow or gone keeps nobody from what can be answered without it.
    let probed = proxy.clone();
    runtime.spawn(async move { log_probes(probed.originals_store(), probed.variants().store()).await });
    let server = match inherited_listeners().context("LISTEN_FDS")?.as_slice() {
        [] => Server::bind(&config.server, &tuning)?,
        inherited => Server::from_listeners(inherited, &config.server, &tuning)?,
    };
    let stop = stop_on_signal(&runtime)?;
    let reload = Arc::new(Reload {
        file: settings.file.clone(),
        overrides: settings.overrides.clone(),
        running: Mutex::new(settings.layers.clone()),
        config: HotSwap::new(config.clone()),
        proxy: HotSwap::new(proxy.clone()),
        connections: server.connection_config(),
        token: HotSwap::new(config.admin.token.clone()),
        log: log_handle,
    });
    reload_on_signal(&runtime, reload.clone())?;
    let context = || format!("cannot listen on {:?} (admin.listen)", config.admin.listen);
    if let Some(listener) = admin::bind(&config.admin).with_context(context)? {
        let address = listener.local_addr()?;
        let reloading = reload.clone();
        let admin = routes::server(AdminContext {
            token: reload.token.clone(),
            config: reload.config.clone(),
            proxy: reload.proxy.clone(),
            notifier: proxy.notifier().cloned(),
            metrics,
            draining: stop.clone(),
            reload: Arc::new(move || reloading.reload().map_err(|error| chain(&error))),
        });
        // Probes are answered until the end, so that what drains is seen to drain.
        runtime.spawn(admin.run(listener, CancellationToken::new()));
        tracing::info!(%address, "admin listening");
    }
    let (notifying, stop_notifying) = (proxy.clone(), stop.clone());
    runtime.spawn(async move { notifying.notify(stop_notifying).await });
    tracing::info!(
        address = %server.address(),
        originals = %config.originals.store,
        variants = %config.variants.store,
        mode = ?config.answers.mode,
        "listening"
    );

    server.run(&reload.proxy, &log, &stop)?;
    log.finish();
    if !runtime.block_on(proxy.drain(config.server.drain_timeout)) {
        tracing::warn!("variants were still being made or stored after server.drain_timeout");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Cancelled by SIGTERM or SIGINT.
fn stop_on_signal(runtime: &Runtime) -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let (stopped, _context) = (stop.clone(), runtime.enter());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what is under way");
        stopped.cancel();
    });
    Ok(stop)
}

/// Reloads at each SIGHUP. What comes of it is logged.
fn reload_on_signal(runtime: &Runtime, reload: Arc<Reload>) -> anyhow::Result<()> {
    let _context = runtime.enter();
    let mut hangup = signal(SignalKind::hangup())?;
    runtime.spawn(async move {
        while hangup.recv().await.is_some() {
            let reload = reload.clone();
            let _ = priority::blocking(move || reload.reload()).await;
        }
    });
    Ok(())
}
