//! `resized serve`: runs the server until a signal stops it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use resized::app::{App, ConfigSource, Listeners, Reloader};
use resized::config::{Config, Tuning};
use resized::observability::logs;
use resized::observability::metrics::resident_bytes;
use resized::support::memory::MemoryAccount;
use resized::support::priority::{self, BLOCKING_THREADS_MAX};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::Settings;
use crate::allocator;

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
    runtime.spawn(return_freed_memory(app.memory().clone()));
    let listeners = Listeners::inherit_or_bind(&config)?;
    let shutdown = shutdown_on_signal(&runtime)?;
    if let Some(reloader) = app.reloader() {
        reload_on_signal(&runtime, reloader)?;
    }
    app.run(listeners, &shutdown)?;
    // An access to a file that hangs does not delay the exit.
    runtime.shutdown_background();
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Memory that the process may hold beyond its account before freed memory is returned to the kernel.
const RETAINED_BYTES_MAX: u64 = 32 << 20;

/// Growth of memory after which freed memory is returned again.
const GROWTH_BYTES: u64 = 8 << 20;

/// Period in which the memory of the process is compared with its account.
const MEMORY_PERIOD: Duration = Duration::from_secs(1);

/// Returns freed memory to the kernel whenever the process holds much more than its account explains.
async fn return_freed_memory(account: MemoryAccount) {
    let mut kept = 0;
    loop {
        tokio::time::sleep(MEMORY_PERIOD).await;
        let Some(resident) = resident_bytes() else { return };
        let is_retained = resident.saturating_sub(account.used_bytes()) > RETAINED_BYTES_MAX;
        if is_retained && resident > kept + GROWTH_BYTES {
            // A failure leaves the memory for the next period.
            let _ = priority::blocking(allocator::return_freed_memory).await;
            kept = resident_bytes().unwrap_or_default();
        }
        kept = kept.min(resident);
    }
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
