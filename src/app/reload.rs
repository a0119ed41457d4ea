//! Reloads the configuration without a restart.
//!
//! A reload reads all settings again and builds every part that depends on them. Only if all parts were built do they replace
//! the running ones. Requests in progress finish with the old parts. Memory, stores, flights, queues and threads are kept; the
//! settings of those need a restart, see [`crate::config::RESTART_REQUIRED`], and are reported.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::{CliOverrides, Config, ConfigError, Layers, Secret};
use crate::observability::logs::{LogError, LogFilter, LogHandle};
use crate::proxy::{OpenError, Proxy};
use crate::server::{ConnectionConfig, TlsError};
use crate::support::error_chain::chain;
use crate::support::hot_swap::HotSwap;

/// The reloadable parts of the program, and the sources of the configuration.
#[derive(Debug)]
pub struct Reload {
    pub file: Option<PathBuf>,
    pub overrides: CliOverrides,
    /// The settings in force. The lock also serializes reloads.
    pub running: Mutex<Layers>,
    pub config: HotSwap<Config>,
    pub proxy: HotSwap<Proxy>,
    pub connections: HotSwap<ConnectionConfig>,
    pub token: HotSwap<Secret>,
    pub log: LogHandle,
}

/// The new settings are invalid. The old ones stay in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Proxy(#[from] OpenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Reload {
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

        let proxy = self.proxy.get().reconfigured(&config)?;
        let connections = self.connections.get().reloaded(&config.server)?;
        let filter = LogFilter::parse(&config.log.level)?;

        self.log.set_filter(filter);
        self.token.set(config.admin.token.clone());
        self.connections.set(connections);
        self.proxy.set(proxy);
        if self.config.get().answers != config.answers {
            // Cached responses contain headers of the old settings.
            self.proxy.get().forget_renditions();
        }
        self.config.set(config);
        *running = next;
        Ok(restart)
    }
}
