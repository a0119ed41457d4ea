//! Background tasks that outlive the request that started them, such as flights and write-backs. Shutdown waits for them.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::observability::traces;

/// Spawns and tracks background tasks. Clones share the runtime and the tracker.
#[derive(Debug, Clone)]
pub struct Tasks {
    runtime: Handle,
    tracker: TaskTracker,
}

impl Tasks {
    /// Creates a tracker whose tasks run on `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, tracker: TaskTracker::new() }
    }

    /// Spawns a task that shutdown waits for. It inherits the current trace span.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn_on(traces::with_current_context(task), &self.runtime)
    }

    /// Spawns a task that shutdown does not wait for.
    pub fn spawn_unawaited<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        drop(self.runtime.spawn(task));
    }

    /// Waits up to `max_wait` until every task has finished. Returns `false` if some are still running.
    pub async fn drain(&self, max_wait: Duration) -> bool {
        self.tracker.close();
        tokio::time::timeout(max_wait, self.tracker.wait()).await.is_ok()
    }
}
