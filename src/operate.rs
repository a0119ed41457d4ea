//! What the admin listener offers: where the proxy and its numbers meet the routes.
//!
//! To offer more, mount it in [`routes`].

use std::sync::Arc;

use http::{Method, StatusCode};
use tokio_util::sync::CancellationToken;

use crate::admin::{Access, Admin, AdminRequest, AdminResponse, Health, text, typed};
use crate::config;
use crate::metrics::{self, Metrics};
use crate::notify::Notifier;
use crate::origin::StoreError;
use crate::proxy::Proxy;

/// The routes: `/healthz`, `/readyz` (503 once `draining`, or while a store does not answer), `/metrics`, and where an API
/// hears of uploads, `GET /outbox/dead` and `POST /outbox/redeliver`.
#[must_use]
pub fn routes(config: &config::Admin, proxy: Arc<Proxy>, metrics: Arc<Metrics>, draining: CancellationToken) -> Admin {
    let notifier = proxy.notifier().cloned();
    let stores = move || {
        let proxy = proxy.clone();
        async move { proxy.ready().await.map_err(|store| format!("{store}: the store does not answer")) }
    };
    let numbers = move |_| {
        let text = metrics.encode();
        async move { typed(StatusCode::OK, metrics::CONTENT_TYPE, text) }
    };
    let admin = Admin::new(config.token.clone());
    let admin = Health::mount(admin, draining, stores).route(Method::GET, "/metrics", Access::Operator, numbers);
    match notifier {
        Some(notifier) => outbox(admin, notifier),
        None => admin,
    }
}

/// The dead letters: their ids, one a line; and those of a body like it are made due again.
fn outbox(admin: Admin, notifier: Notifier) -> Admin {
    let reading = notifier.clone();
    let dead = move |_| {
        let notifier = reading.clone();
        async move {
            match notifier.dead_letters().await {
                Ok(ids) => text(StatusCode::OK, ids.into_iter().map(|id| id + "\n").collect::<String>()),
                Err(error) => broken(&error),
            }
        }
    };
    let redeliver = move |request: AdminRequest| {
        let notifier = notifier.clone();
        async move {
            let mut answer = String::new();
            for id in String::from_utf8_lossy(request.body()).split_ascii_whitespace() {
                match notifier.redeliver(id).await {
                    Ok(true) => answer.push_str(&format!("{id} is due\n")),
                    Ok(false) => answer.push_str(&format!("{id} is no dead letter\n")),
                    Err(error) => return broken(&error),
                }
            }
            text(StatusCode::OK, answer)
        }
    };
    admin.route(Method::GET, "/outbox/dead", Access::Operator, dead).route(
        Method::POST,
        "/outbox/redeliver",
        Access::Operator,
        redeliver,
    )
}

fn broken(error: &StoreError) -> AdminResponse {
    tracing::error!(%error, "the outbox cannot be read or written");
    text(StatusCode::BAD_GATEWAY, "the outbox's store does not answer as it should; the log says more\n")
}
