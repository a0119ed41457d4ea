//! What the admin listener offers: where the proxy and its numbers meet the routes.
//!
//! To offer more, mount it in [`routes`].

use std::sync::Arc;

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::admin::{Access, Admin, AdminRequest, AdminResponse, Health, Pages, text, typed};
use crate::app::reload::Reload;
use crate::config::{Config, Secret};
use crate::observability::metrics::{self, Metrics};
use crate::origin::StoreError;
use crate::outbox::Notifier;
use crate::proxy::{Notified, NotifyError, Proxy};
use crate::support::error_chain::chain;
use crate::support::hot_swap::HotSwap;
use crate::support::priority;
use crate::variant::ObjectKey;

mod playground;

/// Where an original to be purged is named: `POST /purge/photos/cat.jpg`, spelled as in its URL.
const PURGE: &str = "/purge/";

/// The routes: the dashboard at `/` and the playground, `/healthz`, `/readyz` (503 once `draining`, and until both
/// stores have answered), `/metrics`, `POST /purge/KEY`, `POST /events`,
/// and where an API hears of uploads, `GET /outbox/dead` and `POST /outbox/redeliver`.
#[must_use]
pub fn routes(
    token: HotSwap<Secret>,
    config: &HotSwap<Config>,
    proxy: &HotSwap<Proxy>,
    metrics: Arc<Metrics>,
    draining: CancellationToken,
) -> Admin {
    let notifier = proxy.get().notifier().cloned();
    let (looked_at, purged, notified, played) = (proxy.clone(), proxy.clone(), proxy.clone(), proxy.clone());
    let stores = move || {
        let proxy = looked_at.get();
        async move { proxy.ready().await.map_err(|store| format!("{store}: the store does not answer")) }
    };
    let numbers = move |_| {
        let text = metrics.encode();
        async move { typed(StatusCode::OK, metrics::CONTENT_TYPE, text) }
    };
    let admin = Pages::mount(Admin::new(token));
    let admin = playground::mount(admin, config.clone(), played);
    let admin = Health::mount(admin, draining, stores)
        .route(Method::GET, "/metrics", Access::Operator, numbers)
        .route(Method::POST, "/purge/*", Access::Operator, move |request| purge(purged.get(), request))
        .route(Method::POST, "/events", Access::Operator, move |request| events(notified.get(), request));
    match notifier {
        Some(notifier) => outbox(admin, notifier),
        None => admin,
    }
}

/// The same with `POST /reload`: other settings without a restart, or why they cannot be used.
#[must_use]
pub fn reloading(admin: Admin, reload: Arc<Reload>) -> Admin {
    admin.route(Method::POST, "/reload", Access::Operator, move |_| {
        let reload = reload.clone();
        async move {
            match priority::blocking(move || reload.reload()).await {
                Ok(Ok(waiting)) => json_answer(&json!({ "reloaded": true, "restart": waiting })),
                Ok(Err(error)) => {
                    let error = chain(&error);
                    text(StatusCode::UNPROCESSABLE_ENTITY, format!("nothing is reloaded: {error}\n"))
                }
                Err(_) => text(StatusCode::INTERNAL_SERVER_ERROR, "the reload failed; the log says more\n"),
            }
        }
    })
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

/// Drops every variant of one original, and says how many were stored.
async fn purge(proxy: Arc<Proxy>, request: AdminRequest) -> AdminResponse {
    let path = request.uri().path();
    let key = percent_decode_str(path.strip_prefix(PURGE).unwrap_or_default()).decode_utf8();
    let key =
        match key.map_err(|_| "the key is not UTF-8: percent-encode it".to_owned()).map(|key| ObjectKey::new(&key)) {
            Ok(Ok(key)) => key,
            Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            Err(problem) => return text(StatusCode::BAD_REQUEST, format!("{problem}\n")),
        };
    match proxy.purge(&key).await {
        Ok(variants) => json_answer(&json!({ "original": key.as_str(), "variants": variants })),
        Err(error) => failed(&error),
    }
}

/// Takes an S3 event notification. What is none is 400, so that it is not sent again; a store that fails is 502, so that
/// it is.
async fn events(proxy: Arc<Proxy>, request: AdminRequest) -> AdminResponse {
    match proxy.notified(request.body()).await {
        Ok(Notified::Purged { originals }) => json_answer(&json!({ "originals": originals })),
        Ok(Notified::ToBeConfirmed) => {
            text(StatusCode::OK, "open the message's SubscribeURL yourself; this server fetches no URL\n")
        }
        Err(error @ NotifyError::Unknown) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        Err(NotifyError::Purge(error)) => failed(&error),
    }
}

fn json_answer(value: &serde_json::Value) -> AdminResponse {
    typed(StatusCode::OK, "application/json", format!("{value}\n"))
}

fn failed(error: &(dyn std::error::Error + 'static)) -> AdminResponse {
    tracing::error!(error, "a purge failed");
    text(StatusCode::BAD_GATEWAY, "the variants' store failed; the purge may be partly done: send it again\n")
}
