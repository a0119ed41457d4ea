//! The routes of the admin listener: dashboard, playground, health checks, metrics and commands.

use std::sync::Arc;

use http::StatusCode;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{AdminRequest, AdminServer, Route, health, pages, text, with_type};
use crate::config::{Config, Secret};
use crate::observability::metrics::{self, Metrics};
use crate::origin::Store;
use crate::outbox::Notifier;
use crate::proxy::Proxy;
use crate::support::hot_swap::HotSwap;
use crate::support::priority;

mod invalidation;
mod outbox;
mod playground;
mod readiness;

/// The parts of the program that the routes use.
pub struct AdminContext {
    pub token: HotSwap<Secret>,
    pub config: HotSwap<Config>,
    pub proxy: HotSwap<Proxy>,
    pub originals: Store,
    pub variants: Store,
    pub notifier: Option<Notifier>,
    pub metrics: Arc<Metrics>,
    /// Canceled when shutdown begins. After that the node is not ready.
    pub draining: CancellationToken,
    /// `None` if there is no source to reload from.
    pub reload: Option<Reload>,
}

/// Reloads the configuration. The call blocks. Returns the changed keys that need a restart.
pub type Reload = Arc<dyn Fn() -> Result<Vec<&'static str>, String> + Send + Sync>;

/// Creates the server of all routes:
///
/// - `GET /` and `GET /playground`: the pages
/// - `GET /healthz` and `GET /readyz`
/// - `GET /metrics`
/// - `POST /purge/KEY`: deletes the variants of an original
/// - `POST /events`: accepts S3 event notifications
/// - `POST /reload`, if there is a configuration to reload
/// - `GET /outbox/dead` and `POST /outbox/redeliver`, if notifications are enabled
#[must_use]
pub fn server(context: AdminContext) -> AdminServer {
    let AdminContext { token, config, proxy, originals, variants, notifier, metrics, draining, reload } = context;
    let listed = originals.clone();
    let check_stores = move || readiness::check(originals.clone(), variants.clone());
    let encode = move |_| {
        let text = metrics.encode();
        async move { with_type(StatusCode::OK, metrics::CONTENT_TYPE, text) }
    };
    let mut routes = vec![Route::get("/metrics", encode)];
    routes.extend(pages::routes());
    routes.extend(health::routes(draining, check_stores));
    routes.extend(invalidation::routes(&proxy));
    routes.extend(playground::routes(config, &proxy, listed));
    routes.extend(notifier.into_iter().flat_map(outbox::routes));
    routes.extend(reload.map(reload_route));
    AdminServer::new(token, routes)
}

fn reload_route(reload: Reload) -> Route {
    Route::post("/reload", move |_: AdminRequest| {
        let reload = reload.clone();
        async move {
            match priority::blocking(move || reload()).await {
                Ok(Ok(restart)) => super::json(&json!({ "reloaded": true, "restart": restart })),
                Ok(Err(error)) => text(StatusCode::UNPROCESSABLE_ENTITY, format!("settings not reloaded: {error}\n")),
                Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the reload failed; see the log\n"),
            }
        }
    })
}
