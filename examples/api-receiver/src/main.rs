//! Receives notifications of uploads to resized and stores the URLs in SQLite.
//!
//! `POST /hook` is the endpoint for `notify.url`. Three rules make it reliable: it verifies the signature of each
//! request, it responds with 2xx only after the event is in the database, and it uses the id of the event as the
//! primary key, because an event may arrive twice.

#![forbid(unsafe_code)]

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

/// Body of a notification.
#[derive(Debug, Deserialize)]
struct Event {
    r#type: String,
    data: Original,
}

/// An original, in the body of a notification and in the database.
#[derive(Debug, Serialize, Deserialize)]
struct Original {
    key: String,
    url: String,
    content_type: String,
    bytes: i64,
    width: Option<i64>,
    height: Option<i64>,
    sha256: String,
    time: String,
}

#[derive(Clone)]
struct Api {
    webhook: Arc<Webhook>,
    database: Arc<Mutex<Connection>>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("set {name}; see README.md"));
    let webhook =
        Webhook::new(&variable("WEBHOOK_SECRET")?).context("WEBHOOK_SECRET must have the form whsec_BASE64")?;
    let database = open(&variable("DATABASE")?).context("the database cannot be opened")?;
    let listener = TcpListener::bind(variable("LISTEN")?).await.context("cannot listen on LISTEN")?;
    println!("listening on http://{}", listener.local_addr()?);
    let api = Api { webhook: Arc::new(webhook), database: Arc::new(Mutex::new(database)) };
    let router = axum::Router::new().route("/hook", post(receive)).route("/originals", get(list)).with_state(api);
    Ok(axum::serve(listener, router).await?)
}

fn open(path: &str) -> rusqlite::Result<Connection> {
    let database = Connection::open(path)?;
    // Commits are synced to the disk, so a crash never loses an event that was acknowledged.
    database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;")?;
    database.execute_batch(include_str!("../schema.sql"))?;
    Ok(database)
}

/// Receives an event. Responds with 204 once it is stored; after any status but 2xx, resized sends it again.
async fn receive(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> StatusCode {
    // The signature covers the raw body, so verify it before parsing.
    if api.webhook.verify(&body, &headers).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let Ok(event) = serde_json::from_slice::<Event>(&body) else { return StatusCode::BAD_REQUEST };
    if event.r#type != "original.stored" {
        // An unknown event type. Accept it, because sending it again would not help.
        return StatusCode::NO_CONTENT;
    }
    match tokio::task::spawn_blocking(move || api.insert(&id, &event.data)).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT,
        Ok(Err(error)) => {
            eprintln!("event not stored: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Lists all originals with the ids of their events.
async fn list(State(api): State<Api>) -> Result<Json<Vec<(String, Original)>>, StatusCode> {
    let listed = tokio::task::spawn_blocking(move || api.all()).await;
    listed.ok().and_then(Result::ok).map(Json).ok_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Api {
    fn insert(&self, id: &str, original: &Original) -> rusqlite::Result<()> {
        let Original { key, url, content_type, bytes, width, height, sha256, time } = original;
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let insert =
            "INSERT INTO originals VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (event_id) DO NOTHING";
        database.execute(insert, params![id, key, url, content_type, bytes, width, height, sha256, time]).map(drop)
    }

    fn all(&self) -> rusqlite::Result<Vec<(String, Original)>> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let mut select = database.prepare("SELECT * FROM originals ORDER BY stored_at, event_id")?;
        let rows = select.query_map([], |row| {
            let original = Original {
                key: row.get("key")?,
                url: row.get("url")?,
                content_type: row.get("content_type")?,
                bytes: row.get("bytes")?,
                width: row.get("width")?,
                height: row.get("height")?,
                sha256: row.get("sha256")?,
                time: row.get("stored_at")?,
            };
            Ok((row.get("event_id")?, original))
        })?;
        rows.collect()
    }
}
