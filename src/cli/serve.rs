//! `resized serve`: runs the server until a signal stops it.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use resized::app::{App, ConfigSource, Listeners, Reloader};
use resized::config::{Config, Tuning};
use resized::observability::logs;
use resized::support::priority::{self, BLOCKING_THREADS_MAX};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Settings;

pub(super) fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    let Settings { config, layers, overrides, file } = settings;
    let (log, flush) = logs::init(&config.log)?;
    let result = serve(config, ConfigSource { file, overrides, running: layers, log });
    // The error is printed after the last event.
    flush.finish();
    result
}

fn serve(config: Config, source: ConfigSource) -> anyhow::Result<ExitCode> {
    let runtime = Builder::new_multi_thread().enable_all().max_blocking_threads(BLOCKING_THREADS_MAX).build();
    let runtime = runtime.context("cannot start the runtime")?;
    let app = runtime.block_on(App::build(config.clone(), Tuning::default()))?;
    let app = app.with_reload(source);
    // Probe the stores in the background, so that a store that does not respond does not delay the start.
    let stores = app.stores().clone();
    runtime.spawn(async move { stores.log_capabilities().await });
    let listeners = Listeners::inherit_or_bind(&config)?;
    let shutdown = shutdown_on_signal(&runtime)?;
    if let Some(reloader) = app.reloader() {
        reload_on_signal(&runtime, reloader)?;
    }
    app.run(listeners, &shutdown)?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Returns a token that SIGTERM and SIGINT cancel.
fn shutdown_on_signal(runtime: &Runtime) -> anyhow::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let (cancelled, _context) = (shutdown.clone(), runtime.enter());
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("shutting down");
        cancelled.cancel();
    });
    Ok(shutdown)
}

/// Reloads the configuration at each SIGHUP. The reloader logs the result.
fn reload_on_signal(runtime: &Runtime, reloader: Arc<Reloader>) -> anyhow::Result<()> {
    let _context = runtime.enter();
    let mut hangup = signal(SignalKind::hangup())?;
    runtime.spawn(async move {
        while hangup.recv().await.is_some() {
            let reloader = reloader.clone();
            let _ = priority::blocking(move || reloader.reload()).await;
        }
    });
    Ok(())
}
