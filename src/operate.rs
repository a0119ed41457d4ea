//! What the admin listener offers: where the proxy and its numbers meet the routes.
//!
//! To offer more, mount it in [`routes`].

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use crate::admin::{Access, Admin, Health, typed};
use crate::config;
use crate::metrics::{self, Metrics};
use crate::proxy::Proxy;

/// The routes: `/healthz`, `/readyz` (503 once `draining`, or while a store does not answer) and `/metrics`.
#[must_use]
pub fn routes(config: &config::Admin, proxy: Arc<Proxy>, metrics: Arc<Metrics>, draining: CancellationToken) -> Admin {
    let stores = move || {
        let proxy = proxy.clone();
        async move { proxy.ready().await.map_err(|store| format!("{store}: the store does not answer")) }
    };
    let numbers = move |_| {
        let text = metrics.encode();
        async move { typed(StatusCode::OK, metrics::CONTENT_TYPE, text) }
    };
    let admin = Admin::new(config.token.clone());
    Health::mount(admin, draining, stores).route(Method::GET, "/metrics", Access::Operator, numbers)
}
