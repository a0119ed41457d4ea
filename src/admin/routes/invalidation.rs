//! Purges and S3 event notifications.

use std::sync::Arc;

use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde_json::json;

use crate::admin::{self, AdminRequest, AdminResponse, Route, text};
use crate::proxy::{EventError, EventOutcome, Proxy};
use crate::support::hot_swap::HotSwap;
use crate::variant::ObjectKey;

/// The prefix of `POST /purge/photos/cat.jpg`. The key is percent-encoded as in URLs of pictures.
const PURGE: &str = "/purge/";

pub(super) fn routes(proxy: &HotSwap<Proxy>) -> [Route; 2] {
    let (purges, events) = (proxy.clone(), proxy.clone());
    [
        Route::post("/purge/*", move |request| purge(purges.get(), request)),
        Route::post("/events", move |request| receive_event(events.get(), request)),
    ]
}

/// Deletes every variant of one original and responds with the number of variants that were stored.
async fn purge(proxy: Arc<Proxy>, request: AdminRequest) -> AdminResponse {
    let key = request.uri().path().strip_prefix(PURGE).unwrap_or_default();
    let Ok(key) = percent_decode_str(key).decode_utf8() else {
        return text(StatusCode::BAD_REQUEST, "the key is not valid UTF-8: percent-encode it\n");
    };
    let key = match ObjectKey::new(&key) {
        Ok(key) => key,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    match proxy.purge(&key).await {
        Ok(variants) => admin::json(&json!({ "original": key.as_str(), "variants": variants })),
        Err(error) => purge_failed(&error),
    }
}

/// Accepts an S3 event notification. An invalid one is answered 400 so that it is not sent again; if the store fails, the
/// response is 502 so that the sender retries.
async fn receive_event(proxy: Arc<Proxy>, request: AdminRequest) -> AdminResponse {
    match proxy.handle_event(request.body()).await {
        Ok(EventOutcome::Purged { originals }) => admin::json(&json!({ "originals": originals })),
        Ok(EventOutcome::ConfirmSubscription) => text(
            StatusCode::OK,
            "confirm the subscription by opening the SubscribeURL of the message; this server does not open URLs\n",
        ),
        Err(error @ EventError::Unrecognized) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        Err(EventError::Purge(error)) => purge_failed(&error),
    }
}

fn purge_failed(error: &(dyn std::error::Error + 'static)) -> AdminResponse {
    tracing::error!(error, "purge failed");
    text(StatusCode::BAD_GATEWAY, "the variants store failed and the purge may be incomplete; send it again\n")
}
