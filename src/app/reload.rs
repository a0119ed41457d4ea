//! Other settings without a restart.
//!
//! A reload finds the settings anew, makes new parts from all of them, and only when each could be made puts them in place
//! of the old. What requests are under way goes on with the old parts; memory, stores, flights, queues and threads are the
//! same ones before and after. The settings of those cannot change, stay as they are, and are named: [`crate::config::RESTART_REQUIRED`].

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use crate::config::{CliOverrides, Config, ConfigError, Layers, Secret};
use crate::observability::logs::{LogError, LogFilter, LogHandle};
use crate::proxy::{OpenError, Proxy};
use crate::server::{ConnectionConfig, TlsError};
use crate::support::error_chain::chain;
use crate::support::hot_swap::HotSwap;

/// What a reload replaces, and where it finds the settings.
#[derive(Debug)]
pub struct Reload {
    pub file: Option<PathBuf>,
    pub overrides: CliOverrides,
    /// As they were found when they came into force; one reload at a time.
    pub running: Mutex<Layers>,
    pub config: HotSwap<Config>,
    pub proxy: HotSwap<Proxy>,
    pub connections: HotSwap<ConnectionConfig>,
    pub token: HotSwap<Secret>,
    pub log: LogHandle,
}

/// Why all stays as it was.
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
    /// Reloads, and says which changed settings wait for a restart. It reads files.
    ///
    /// # Errors
    /// The settings cannot be used; then none of them is.
    pub fn reload(&self) -> Result<Vec<&'static str>, ReloadError> {
        let done = self.replace();
        match &done {
            Ok(waiting) if waiting.is_empty() => tracing::info!("settings reloaded"),
            Ok(waiting) => {
                tracing::warn!(settings = waiting.join(", "), "settings reloaded, but these need a restart");
            }
            Err(error) => {
                let error = chain(error);
                tracing::error!(error, "settings are not reloaded; those before stay in force");
            }
        }
        done
    }

    fn replace(&self) -> Result<Vec<&'static str>, ReloadError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let found = Layers::load(self.file.as_deref(), &self.overrides)?;
        // What could not be started with is told now, rather than at the next start.
        found.config()?;
        let (next, waiting) = found.keeping_restart_required(&running);
        let config = next.config()?;

        let proxy = self.proxy.get().renewed(&config)?;
        let connections = self.connections.get().reloaded(&config.server)?;
        let filter = LogFilter::parse(&config.log.level)?;

        self.log.set_filter(filter);
        self.token.set(config.admin.token.clone());
        self.connections.set(connections);
        self.proxy.set(proxy);
        if self.config.get().answers != config.answers {
            // Their headers are of the former settings.
            self.proxy.get().forget_renditions();
        }
        self.config.set(config);
        *running = next;
        Ok(waiting)
    }
}
