//! Health checks: liveness and readiness of this node.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Route, text};

/// Time for which a failed check is cached, so that frequent probes do not cause more requests to the stores.
const FAILURE_TTL: Duration = Duration::from_secs(2);
/// Time limit for the response of both stores.
const CHECK_TIMEOUT: Duration = Duration::from_secs(3);

/// `/healthz` responds 200 as long as the process runs. `/readyz` responds 200 once `check_stores` has succeeded and
/// until `draining` is canceled, and 503 with the reason otherwise.
pub(super) fn routes<F>(draining: CancellationToken, check_stores: impl Fn() -> F + Send + Sync + 'static) -> [Route; 2]
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let readiness = Arc::new(Readiness { check_stores, last: Mutex::new(None) });
    let ready = move |_| {
        let (readiness, draining) = (readiness.clone(), draining.clone());
        async move {
            if draining.is_cancelled() {
                return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
            }
            match readiness.check().await {
                Ok(()) => text(StatusCode::OK, "ready\n"),
                Err(problem) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
            }
        }
    };
    let live = |_| async { text(StatusCode::OK, "ok\n") };
    [Route::get("/healthz", live).public(), Route::get("/readyz", ready).public()]
}

/// Readiness of the stores, with the last result.
struct Readiness<C> {
    check_stores: C,
    last: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl<C, F> Readiness<C>
where
    C: Fn() -> F,
    F: Future<Output = Result<(), String>>,
{
    /// Checks the stores until they have responded once; after that, the node stays ready. A later failure of a store
    /// affects all nodes alike, and a node that can still serve from memory should keep receiving requests.
    ///
    /// # Errors
    /// The reason why the last check failed.
    async fn check(&self) -> Result<(), String> {
        // Concurrent probes wait here for a single check.
        let mut last = self.last.lock().await;
        match last.as_ref() {
            Some((when, result)) if result.is_ok() || when.elapsed() < FAILURE_TTL => result.clone(),
            _ => {
                let result = tokio::time::timeout(CHECK_TIMEOUT, (self.check_stores)()).await;
                let result = result.unwrap_or_else(|_| Err("a store did not respond in time".into()));
                last.insert((Instant::now(), result)).1.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stores_are_not_checked_again_after_a_success() {
        let (fails, checks) = (Cell::new(true), Cell::new(0));
        let check_stores = async || {
            checks.set(checks.get() + 1);
            if fails.get() { Err("unavailable".to_owned()) } else { Ok(()) }
        };
        let readiness = Readiness { check_stores, last: Mutex::new(None) };
        assert!(readiness.check().await.is_err());
        fails.set(false);
        assert!(readiness.check().await.is_err(), "a failure is cached");
        tokio::time::advance(FAILURE_TTL).await;
        assert_eq!(readiness.check().await, Ok(()));
        fails.set(true);
        tokio::time::advance(FAILURE_TTL * 1000).await;
        assert_eq!(readiness.check().await, Ok(()));
        assert_eq!(checks.get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_that_hangs_fails_after_the_timeout() {
        let readiness = Readiness { check_stores: std::future::pending::<Result<(), String>>, last: Mutex::new(None) };
        assert!(readiness.check().await.unwrap_err().contains("in time"));
    }
}
