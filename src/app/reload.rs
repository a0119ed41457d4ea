//! Reloads the configuration without a restart.
//!
//! A reload reads all settings again and builds every part that depends on them. The new parts replace the running ones
//! only after all of them were built. Requests in progress finish with the old parts.
//!
//! Memory, stores, flights, queues and threads are kept. A change of their settings needs a restart and is reported,
//! see [`crate::config::RESTART_REQUIRED`].

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{BuildError, Reloadable, SharedParts};
use crate::config::{CliOverrides, ConfigError, Layers};
use crate::observability::logs::{LogError, LogFilter, LogHandle};
use crate::support::error_chain::chain;

/// The sources of the configuration, and the current settings.
#[derive(Debug)]
pub struct ConfigSource {
    pub file: Option<PathBuf>,
    pub overrides: CliOverrides,
    pub running: Layers,
    pub log: LogHandle,
}

/// Replaces the reloadable parts of the server.
#[derive(Debug)]
pub struct Reloader {
    file: Option<PathBuf>,
    overrides: CliOverrides,
    log: LogHandle,
    /// The current settings. The lock also serializes reloads.
    running: Mutex<Layers>,
    reloadable: Reloadable,
    shared: SharedParts,
}

/// The new settings are invalid. The old ones stay in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Reloader {
    pub(super) fn new(source: ConfigSource, reloadable: Reloadable, shared: SharedParts) -> Self {
        let ConfigSource { file, overrides, running, log } = source;
        Self { file, overrides, log, running: Mutex::new(running), reloadable, shared }
    }

    /// Reloads the configuration and returns the changed keys that need a restart. Blocks while it reads files.
    ///
    /// # Errors
    /// The settings are invalid; then nothing changes.
    pub fn reload(&self) -> Result<Vec<&'static str>, ReloadError> {
        let result = self.replace();
        match &result {
            Ok(restart) if restart.is_empty() => tracing::info!("settings reloaded"),
            Ok(restart) => {
                tracing::warn!(settings = restart.join(", "), "settings reloaded; some changes need a restart");
            }
            Err(error) => tracing::error!(error = chain(error), "settings not reloaded"),
        }
        result
    }

    fn replace(&self) -> Result<Vec<&'static str>, ReloadError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let found = Layers::load(self.file.as_deref(), &self.overrides)?;
        // Reports settings that would prevent the next start, even if this reload ignores them.
        found.config()?;
        let (next, restart) = found.keeping_restart_required(&running);
        let config = next.config()?;

        let Reloadable { config: current, proxy, connections, admin_token } = &self.reloadable;
        let new_proxy = self.shared.rebuild_proxy(&proxy.get(), &config)?;
        let new_connections = connections.get().reloaded(&config.server).map_err(BuildError::from)?;
        let filter = LogFilter::parse(&config.log.level)?;

        self.log.set_filter(filter);
        admin_token.set(config.admin.token.clone());
        connections.set(new_connections);
        proxy.set(new_proxy);
        if current.get().answers != config.answers {
            // Cached responses contain headers of the old settings.
            proxy.get().forget_renditions();
        }
        current.set(config);
        *running = next;
        Ok(restart)
    }
}
