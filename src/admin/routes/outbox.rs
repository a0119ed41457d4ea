//! Dead letters of the outbox.

use http::StatusCode;

use crate::admin::{AdminRequest, AdminResponse, Route, text};
use crate::origin::StoreError;
use crate::outbox::{Notifier, Redelivery};

/// `GET /outbox/dead` lists the ids of dead letters, one per line. `POST /outbox/redeliver` accepts the same format.
pub(super) fn routes(notifier: Notifier) -> [Route; 2] {
    let listed = notifier.clone();
    [
        Route::get("/outbox/dead", move |_| list(listed.clone())),
        Route::post("/outbox/redeliver", move |request| redeliver(notifier.clone(), request)),
    ]
}

async fn list(notifier: Notifier) -> AdminResponse {
    match notifier.dead_letters().await {
        Ok(ids) => text(StatusCode::OK, ids.into_iter().map(|id| id + "\n").collect::<String>()),
        Err(error) => store_failed(&error),
    }
}

async fn redeliver(notifier: Notifier, request: AdminRequest) -> AdminResponse {
    let mut report = String::new();
    for id in String::from_utf8_lossy(request.body()).split_ascii_whitespace() {
        match notifier.redeliver(id).await {
            Ok(Redelivery::Queued) => report.push_str(&format!("{id} will be redelivered\n")),
            Ok(Redelivery::NotFound) => report.push_str(&format!("{id} is not a dead letter\n")),
            Ok(Redelivery::Unreadable) => report.push_str(&format!("{id} cannot be read\n")),
            Err(error) => return store_failed(&error),
        }
    }
    text(StatusCode::OK, report)
}

fn store_failed(error: &StoreError) -> AdminResponse {
    tracing::error!(%error, "the outbox store failed");
    text(StatusCode::BAD_GATEWAY, "the outbox store failed; see the log\n")
}
