//! Whether this node lives, and whether it should be sent requests.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;
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
    pub fn mount<F>(admin: Admin, draining: CancellationToken, stores: impl Fn() -> F + Send + Sync + 'static) -> Admin
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let stores = Arc::new(Stores { look: stores, last: Mutex::new(None) });
        let ready = move |_| {
            let (stores, draining) = (stores.clone(), draining.clone());
            async move {
                if draining.is_cancelled() {
                    return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
                }
                match stores.have_answered().await {
                    Ok(()) => text(StatusCode::OK, "ready\n"),
                    Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
                }
            }
        };
        let live = |_| async { text(StatusCode::OK, "ok\n") };
        admin.route(Method::GET, "/healthz", Access::Anyone, live).route(Method::GET, "/readyz", Access::Anyone, ready)
    }
}

/// The stores, and what was last seen of them.
struct Stores<L> {
    look: L,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl<L, F> Stores<L>
where
    L: Fn() -> F,
    F: Future<Output = Result<(), String>>,
{
    /// Whether they have answered once. One that is gone later is gone for all nodes alike, and what their memories hold is
    /// better than no node at all.
    ///
    /// # Errors
    /// What was wrong at the last look.
    async fn have_answered(&self) -> Result<(), String> {
        // One looks; those who come meanwhile wait for what it sees.
        let mut last = self.last.lock().await;
        match last.as_ref() {
            Some((when, seen)) if seen.is_ok() || when.elapsed() < FRESH => seen.clone(),
            _ => {
                let looked = tokio::time::timeout(PATIENCE, (self.look)()).await;
                let seen = looked.unwrap_or_else(|_| Err("a store is too slow".into()));
                last.insert((Instant::now(), seen)).1.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stores_that_have_answered_once_are_asked_no_more() {
        let (fails, looks) = (Cell::new(true), Cell::new(0));
        let look = async || {
            looks.set(looks.get() + 1);
            if fails.get() { Err("gone".to_owned()) } else { Ok(()) }
        };
        let stores = Stores { look, last: Mutex::new(None) };
        assert!(stores.have_answered().await.is_err());
        fails.set(false);
        assert!(stores.have_answered().await.is_err(), "what was seen a moment ago holds");
        tokio::time::advance(FRESH).await;
        assert_eq!(stores.have_answered().await, Ok(()));
        fails.set(true);
        tokio::time::advance(FRESH * 1000).await;
        assert_eq!(stores.have_answered().await, Ok(()));
        assert_eq!(looks.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn stores_that_hang_have_not_answered() {
        let stores = Stores { look: std::future::pending::<Result<(), String>>, last: Mutex::new(None) };
        assert!(stores.have_answered().await.unwrap_err().contains("slow"));
    }
}
