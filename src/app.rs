//! Builds and runs the server.
//!
//! [`App::build`] builds all parts from the configuration. [`App::run`] serves until shutdown and then stops the parts
//! in order. The program and its tests use both. A command that needs only some of the parts calls [`Stores::open`],
//! [`open_notifier`] or [`build_variants`] instead.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::admin;
use crate::admin::routes::{self, AdminContext};
use crate::config::{Config, Secret};
use crate::observability::access_log::AccessLog;
use crate::observability::metrics::Metrics;
use crate::observability::traces::Traces;
use crate::outbox::Notifier;
use crate::proxy::{ObjectInfoCache, Proxy};
use crate::server::{self, ConnectionConfig, Server};
use crate::support::error_chain::chain;
use crate::support::hot_swap::HotSwap;
use crate::support::listener::AcceptPauses;
use crate::support::memory::{MemoryAccount, MemoryPermit};
use crate::support::open_bodies::OpenBodies;
use crate::support::tasks::Tasks;

mod build;
mod descriptors;
mod error;
mod memory_gauges;
mod reload;
mod stores;

pub use build::{VariantsContext, build_variants, open_account, open_notifier};
pub use error::BuildError;
pub use reload::{ConfigSource, ReloadError, Reloader};
pub use stores::Stores;

/// The server, ready to run.
#[derive(Debug)]
pub struct App {
    /// Runs background tasks and the admin server. Connections are served by other threads.
    runtime: Handle,
    reloadable: Reloadable,
    shared: SharedParts,
    reloader: Option<Arc<Reloader>>,
    /// `None` writes to standard output.
    access_log: Option<AccessLog>,
    accept_pauses: ListenerPauses,
}

/// Pauses of accepting on each listener.
#[derive(Debug, Clone, Default)]
struct ListenerPauses {
    public: AcceptPauses,
    admin: AcceptPauses,
}

/// The parts that a reload replaces.
#[derive(Debug, Clone)]
pub struct Reloadable {
    pub config: HotSwap<Config>,
    pub proxy: HotSwap<Proxy>,
    pub connections: HotSwap<ConnectionConfig>,
    pub admin_token: HotSwap<Secret>,
}

/// The parts that a reload keeps. Clones share them.
#[derive(Debug, Clone)]
struct SharedParts {
    stores: Stores,
    object_infos: ObjectInfoCache,
    notifier: Option<Notifier>,
    traces: Traces,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    memory: MemoryAccount,
    open_bodies: Arc<OpenBodies>,
    /// For the tables of fixed size.
    _tables: Option<Arc<MemoryPermit>>,
}

/// The listening sockets of the server.
#[derive(Debug)]
pub struct Listeners {
    pub public: server::Listeners,
    /// `None` if `admin.listen` is empty.
    pub admin: Option<TcpListener>,
}

impl Listeners {
    /// Binds `server.listen` and `admin.listen`. Sockets that the parent process has passed replace `server.listen`.
    ///
    /// # Errors
    /// An address is in use or not local, or a passed descriptor is not a listening socket.
    pub fn inherit_or_bind(config: &Config) -> Result<Self, BuildError> {
        Self::with_admin(config, server::Listeners::inherit_or_bind(&config.server))
    }

    /// Binds `server.listen` and `admin.listen`.
    ///
    /// # Errors
    /// An address is in use or not local.
    pub fn bind(config: &Config) -> Result<Self, BuildError> {
        Self::with_admin(config, server::Listeners::bind(&config.server))
    }

    fn with_admin(config: &Config, public: io::Result<server::Listeners>) -> Result<Self, BuildError> {
        let address = config.server.listen;
        let public = public.map_err(|source| BuildError::Listen { key: "server.listen", address, source })?;
        let admin = match config.admin.listen {
            None => None,
            Some(address) => {
                let listener = admin::bind(address);
                Some(listener.map_err(|source| BuildError::Listen { key: "admin.listen", address, source })?)
            }
        };
        Ok(Self { public, admin })
    }

    /// The address of the admin listener.
    ///
    /// # Errors
    /// The system does not return the address of the socket.
    pub fn admin_address(&self) -> io::Result<Option<SocketAddr>> {
        self.admin.as_ref().map(TcpListener::local_addr).transpose()
    }
}

impl App {
    /// Lets SIGHUP and `POST /reload` reload the configuration from `source`.
    #[must_use]
    pub fn with_reload(mut self, source: ConfigSource) -> Self {
        self.reloader = Some(Arc::new(Reloader::new(source, self.reloadable.clone(), self.shared.clone())));
        self
    }

    /// Replaces the access log on standard output.
    #[must_use]
    pub fn with_access_log(self, access_log: AccessLog) -> Self {
        Self { access_log: Some(access_log), ..self }
    }

    /// The reloader, or `None` without [`App::with_reload`].
    #[must_use]
    pub fn reloader(&self) -> Option<Arc<Reloader>> {
        self.reloader.clone()
    }

    /// The current proxy.
    #[must_use]
    pub fn proxy(&self) -> Arc<Proxy> {
        self.reloadable.proxy.get()
    }

    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.shared.metrics.clone()
    }

    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.shared.stores
    }

    /// The notifier of the API, if `notify.url` is set.
    #[must_use]
    pub fn notifier(&self) -> Option<&Notifier> {
        self.shared.notifier.as_ref()
    }

    /// The memory account.
    #[must_use]
    pub fn memory(&self) -> &MemoryAccount {
        &self.shared.memory
    }

    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.shared.traces
    }

    /// Serves until `shutdown` is canceled, then finishes open requests and background tasks within
    /// `server.drain_timeout`. Returns `false` if background tasks were left unfinished.
    ///
    /// This method blocks, so it must not be called on a thread of the runtime.
    ///
    /// # Errors
    /// A thread cannot be started, or a listener cannot be used.
    pub fn run(mut self, listeners: Listeners, shutdown: &CancellationToken) -> io::Result<bool> {
        let admin_address = listeners.admin_address()?;
        let Listeners { public, admin } = listeners;
        let config = self.reloadable.config.get();
        let access_log = match self.access_log.take() {
            Some(access_log) => access_log,
            None => AccessLog::start(&config.log, io::stdout())?,
        };
        if let (Some(listener), Some(address)) = (admin, admin_address) {
            // The admin server is not part of the shutdown, so that health checks can observe it.
            let pauses = self.accept_pauses.admin.clone();
            self.runtime.spawn(self.admin_server(shutdown).run(listener, pauses, CancellationToken::new()));
            tracing::info!(%address, "admin listening");
        }
        if let Some(notifier) = self.shared.notifier.clone() {
            let shutdown = shutdown.clone();
            self.runtime.spawn(async move { notifier.sweep(shutdown).await });
        }
        tracing::info!(
            address = %public.address(),
            originals = %config.originals.store,
            variants = %config.variants.store,
            mode = ?config.answers.mode,
            "listening"
        );

        let Reloadable { proxy, connections, .. } = self.reloadable;
        let accept_pauses = self.accept_pauses.public.clone();
        let shutdown_at = self.runtime.spawn({
            let shutdown = shutdown.clone();
            async move {
                shutdown.cancelled().await;
                Instant::now()
            }
        });
        Server { connections, proxy: proxy.clone(), access_log, accept_pauses }.run(public, shutdown)?;
        // Connections and background tasks share the time.
        let drain_start = self.runtime.block_on(shutdown_at).map_err(io::Error::other)?;
        let remaining = config.server.drain_timeout.saturating_sub(drain_start.elapsed());
        proxy.get().variants().abandon_late();
        let is_drained = self.runtime.block_on(self.shared.tasks.drain(remaining));
        self.runtime.block_on(self.shared.traces.shutdown());
        if is_drained {
            proxy.get().variants().shutdown();
        } else {
            // Jobs that still run end with the process, because a wait for them would have no limit.
            tracing::warn!("variants still being made or stored after server.drain_timeout");
        }
        Ok(is_drained)
    }

    fn admin_server(&self, shutdown: &CancellationToken) -> admin::AdminServer {
        let Reloadable { config, proxy, admin_token, .. } = self.reloadable.clone();
        let reload = self
            .reloader
            .clone()
            .map(|reloader| -> routes::Reload { Arc::new(move || reloader.reload().map_err(|error| chain(&error))) });
        routes::server(AdminContext {
            token: admin_token,
            config,
            proxy,
            originals: self.shared.stores.originals.clone(),
            variants: self.shared.stores.variants.clone(),
            notifier: self.shared.notifier.clone(),
            metrics: self.shared.metrics.clone(),
            draining: shutdown.clone(),
            reload,
        })
    }
}
