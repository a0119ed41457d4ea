//! What the playground and the dashboard ask for besides the numbers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::{Value, json};

use crate::admin::{Access, Admin, AdminRequest, AdminResponse, Bodies, text};
use crate::config::Config;
use crate::proxy::{Body, Proxy};
use crate::support::hot_swap::HotSwap;
use crate::variant::Format;

/// A variant of the picture that is the body: `POST /playground/try/cat_300x200.jpg`.
const TRY: &str = "/playground/try";
/// What clients would get: `GET /playground/get/cat_300x200.jpg`.
const GET: &str = "/playground/get";

/// The most that a picture may have here; `limits.original_bytes` where that is less.
const PICTURE_BYTES_MAX: u64 = 32 << 20;
/// Pictures in memory at once, besides what their tickets are for.
const PICTURES_MAX: usize = 4;
/// Names that the page offers to choose from.
const NAMES_MAX: usize = 200;

pub(super) fn mount(admin: Admin, config: HotSwap<Config>, proxy: HotSwap<Proxy>) -> Admin {
    let bytes_max =
        usize::try_from(config.get().limits.original_bytes.as_u64().min(PICTURE_BYTES_MAX)).unwrap_or(usize::MAX);
    let (tried, asked, listed) = (proxy.clone(), proxy.clone(), proxy);
    admin
        .route(Method::GET, "/settings.json", Access::Operator, move |_| {
            let settings = super::json_answer(&settings(&config.get()));
            async move { settings }
        })
        .route(Method::GET, "/playground/originals", Access::Operator, move |_| originals(listed.get()))
        .route(Method::GET, "/playground/get/*", Access::Operator, move |request| get(asked.get(), request, bytes_max))
        .route_with(
            Bodies::large(bytes_max, PICTURES_MAX),
            Method::POST,
            "/playground/try/*",
            Access::Operator,
            move |request| try_out(tried.get(), request, bytes_max),
        )
}

/// What the pages have to know of the settings; nothing of it is secret.
fn settings(config: &Config) -> Value {
    let (work, public_url) = (&config.work, &config.server.public_url);
    let formats: Vec<_> = Format::WRITTEN.iter().map(|format| format.extension()).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "public_url": public_url.trim_end_matches('/'),
        "listen": config.server.listen.to_string(),
        "mode": config.answers.mode,
        "formats": formats,
        "presets": config.presets.keys().collect::<Vec<_>>(),
        "max_side": config.limits.max_side,
        "picture_bytes": config.limits.original_bytes.as_u64().min(PICTURE_BYTES_MAX),
        "limits": {
            "cache": config.cache.memory.as_u64(),
            "download": work.download_memory.as_u64(),
            "pixels": work.pixel_memory.as_u64(),
            "write_back": work.write_back_memory.as_u64(),
        },
    })
}

async fn originals(proxy: Arc<Proxy>) -> AdminResponse {
    match proxy.some_originals(NAMES_MAX).await {
        Ok(names) => super::json_answer(&json!(names)),
        Err(error) => {
            tracing::warn!(%error, "the originals cannot be listed");
            text(StatusCode::BAD_GATEWAY, "the originals' store cannot be listed; the log says more\n")
        }
    }
}

/// The variant of what was sent.
async fn try_out(proxy: Arc<Proxy>, request: AdminRequest, bytes_max: usize) -> AdminResponse {
    let path = request.uri().path().strip_prefix(TRY).unwrap_or_default().to_owned();
    whole(proxy.try_out(&path, request.into_body()).await, bytes_max).await
}

/// Who asks by way of the operator's listener, as far as rates are concerned.
const OPERATOR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The same answer as on the port that clients ask, and counted as theirs.
async fn get(proxy: Arc<Proxy>, request: AdminRequest, bytes_max: usize) -> AdminResponse {
    let asked = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
    let path = asked.strip_prefix(GET).unwrap_or_default();
    // A conditional request or a range is the browser's own affair here.
    let host = request.headers().get(HOST).cloned().unwrap_or(HeaderValue::from_static("localhost"));
    let Ok(asked) = Request::get(path).header(HOST, host).body(()) else {
        return text(StatusCode::BAD_REQUEST, "this is no path\n");
    };
    whole(proxy.answer(OPERATOR, &asked).await.response, bytes_max).await
}

/// An answer as the listener sends it: whole in memory, and never remembered by the browser.
async fn whole(answer: Response<Body>, bytes_max: usize) -> AdminResponse {
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(http::header::CACHE_CONTROL);
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Response::from_parts(parts, Full::new(body.to_bytes())),
        Err(_) => text(StatusCode::BAD_GATEWAY, format!("it broke off, or has more than {bytes_max} bytes\n")),
    }
}
