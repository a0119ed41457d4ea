//! Whether this node lives, and whether it should be sent requests.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Access, Admin, text};

/// How long it holds that something was wrong: however often a probe comes, the stores are asked no more than this.
const FRESH: Duration = Duration::from_secs(2);
/// How long a look may take; then the node is not ready.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the probes are told.
#[derive(Debug)]
pub struct Health;

impl Health {
    /// Mounts `/healthz` (the process answers) and `/readyz` (it is not draining, and `stores` has once said that nothing is
    /// wrong; else 503 with what is).
    ///
    /// A store that is gone later is gone for all nodes alike: what their memories hold is better than no node at all.
    pub fn mount<F>(admin: Admin, draining: CancellationToken, stores: impl Fn() -> F + Send + Sync + 'static) -> Admin
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let last = Arc::new(Mutex::new(None::<(Instant, Result<(), String>)>));
        let stores = Arc::new(stores);
        let ready = move |_| {
            let (last, stores, draining) = (last.clone(), stores.clone(), draining.clone());
            async move {
                if draining.is_cancelled() {
                    return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
                }
                // One looks; those who come meanwhile wait for what it sees.
                let mut last = last.lock().await;
                let holds = |(when, seen): &&(Instant, Result<_, _>)| seen.is_ok() || when.elapsed() < FRESH;
                let seen = last.as_ref().filter(holds).map(|(_, seen)| seen.clone());
                let seen = match seen {
                    Some(seen) => seen,
                    None => {
                        let looked = tokio::time::timeout(PATIENCE, stores()).await;
                        let seen = looked.unwrap_or_else(|_| Err("a store is too slow".into()));
                        last.insert((Instant::now(), seen)).1.clone()
                    }
                };
                match seen {
                    Ok(()) => text(StatusCode::OK, "ready\n"),
                    Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
                }
            }
        };
        let live = |_| async { text(StatusCode::OK, "ok\n") };
        admin.route(Method::GET, "/healthz", Access::Anyone, live).route(Method::GET, "/readyz", Access::Anyone, ready)
    }
}
