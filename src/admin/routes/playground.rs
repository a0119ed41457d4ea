//! The data of the playground and the dashboard.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json};

use crate::admin::{self, AdminRequest, AdminResponse, BodyLimit, Route, text};
use crate::config::{Config, MemoryPlan};
use crate::origin::Store;
use crate::proxy::{Body, Proxy};
use crate::support::hot_swap::HotSwap;
use crate::variant::Format;

/// Resizes the picture in the request body: `POST /playground/try/cat_300x200.jpg`.
const TRY: &str = "/playground/try";
/// Responds as the public listener would: `GET /playground/get/cat_300x200.jpg`.
const GET: &str = "/playground/get";

/// Maximum size of a picture in the playground, if `limits.original_bytes` is not lower.
const PICTURE_BYTES_MAX: u64 = 32 << 20;
/// Maximum number of request bodies in memory, in addition to the memory budgets of resizing.
const PICTURES_MAX: usize = 4;
/// Number of originals that the page suggests.
const SUGGESTIONS_MAX: usize = 200;

/// Rate limits count the operator's requests under this address.
const OPERATOR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) fn routes(config: HotSwap<Config>, proxy: &HotSwap<Proxy>, originals: Store) -> [Route; 4] {
    let bytes_max = usize::try_from(picture_bytes_max(&config.get())).unwrap_or(usize::MAX);
    let (tried, requested) = (proxy.clone(), proxy.clone());
    [
        Route::get("/settings.json", move |_| {
            let response = admin::json(&settings(&config.get()));
            async move { response }
        }),
        Route::get("/playground/originals", move |_| list_originals(originals.clone())),
        Route::get("/playground/get/*", move |request| get(requested.get(), request, bytes_max)),
        Route::post("/playground/try/*", move |request| try_out(tried.get(), request, bytes_max))
            .with_body_limit(BodyLimit::new(bytes_max, PICTURES_MAX)),
    ]
}

fn picture_bytes_max(config: &Config) -> u64 {
    config.limits.original_bytes.as_u64().min(PICTURE_BYTES_MAX)
}

/// The settings that the pages use. None of them is secret.
fn settings(config: &Config) -> Value {
    let public_url = &config.server.public_url;
    let formats: Vec<_> = Format::SUPPORTED.iter().map(|format| format.extension()).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "public_url": public_url.trim_end_matches('/'),
        "listen": config.server.listen.to_string(),
        "mode": config.answers.mode,
        "formats": formats,
        "presets": config.presets.keys().collect::<Vec<_>>(),
        "max_side": config.limits.max_side,
        "picture_bytes": picture_bytes_max(config),
        "cache_bytes": MemoryPlan::new(config).ok().map(|plan| plan.cache),
    })
}

async fn list_originals(originals: Store) -> AdminResponse {
    match originals.list("", None, SUGGESTIONS_MAX).await {
        Ok(page) => {
            let paths: Vec<_> = page.objects.iter().map(|object| object.key.url_path()).collect();
            admin::json(&json!(paths))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot list the originals store");
            text(StatusCode::BAD_GATEWAY, "the originals store cannot be listed; see the log\n")
        }
    }
}

/// Resizes the picture in the request body.
async fn try_out(proxy: Arc<Proxy>, request: AdminRequest, bytes_max: usize) -> AdminResponse {
    let path = request.uri().path().strip_prefix(TRY).unwrap_or_default().to_owned();
    buffered(proxy.preview(&path, request.into_body()).await, bytes_max).await
}

/// Responds as the public listener would, metrics included.
async fn get(proxy: Arc<Proxy>, request: AdminRequest, bytes_max: usize) -> AdminResponse {
    let target = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let path = target.strip_prefix(GET).unwrap_or_default();
    // Conditional headers and ranges of the browser are not forwarded.
    let host = request.headers().get(HOST).cloned().unwrap_or(HeaderValue::from_static("localhost"));
    let Ok(forwarded) = Request::get(path).header(HOST, host).body(()) else {
        return text(StatusCode::BAD_REQUEST, "the path is invalid\n");
    };
    buffered(proxy.answer(OPERATOR, &forwarded).await.response, bytes_max).await
}

/// Collects a response body in memory. The browser must not cache it.
async fn buffered(response: Response<Body>, bytes_max: usize) -> AdminResponse {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(http::header::CACHE_CONTROL);
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Response::from_parts(parts, Full::new(body.to_bytes())),
        Err(_) => {
            text(StatusCode::BAD_GATEWAY, format!("the response is incomplete or larger than {bytes_max} bytes\n"))
        }
    }
}
