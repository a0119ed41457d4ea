//! Closes connections that are idle for too long.
//!
//! Resetting a timer with each request costs a tenth of a cache hit. Instead, each request sets a flag on its connection, and
//! the serving thread periodically checks the flags of all its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::Version;
use tokio::task::AbortHandle;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// Activity of one connection since the last sweep.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// True once the first request has arrived.
    had_request: AtomicBool,
    /// True for HTTP/2, whose clients are told that the connection closes.
    is_http2: AtomicBool,
    active_requests: AtomicUsize,
    total_requests: AtomicUsize,
    wrote: AtomicBool,
    /// Canceled when the server wants to close the connection.
    closing: CancellationToken,
}

impl Activity {
    /// The activity of a connection that closes when `shutdown` is canceled, or earlier if it is idle.
    pub(super) fn new(shutdown: &CancellationToken) -> Self {
        Self { closing: shutdown.child_token(), ..Self::default() }
    }

    /// Ends when the server wants to close the connection.
    pub(super) fn closing(&self) -> WaitForCancellationFuture<'_> {
        self.closing.cancelled()
    }

    /// Records a request whose header is complete. The connection is not idle until the guard is dropped.
    pub(super) fn start_request(self: &Arc<Self>, version: Version) -> ActiveRequest {
        self.had_request.store(true, Relaxed);
        if version == Version::HTTP_2 {
            self.is_http2.store(true, Relaxed);
        }
        self.active_requests.fetch_add(1, Relaxed);
        self.total_requests.fetch_add(1, Relaxed);
        ActiveRequest(self.clone())
    }

    /// Number of requests so far.
    pub(super) fn total_requests(&self) -> usize {
        self.total_requests.load(Relaxed)
    }

    /// Records that the client accepted response bytes.
    pub(super) fn record_write(&self) {
        self.wrote.store(true, Relaxed);
    }

    /// Returns true if the connection was active since the last call.
    fn take_activity(&self) -> bool {
        // Before the first request writes do not count: they may be a TLS handshake with a client that never sends a request.
        let wrote = self.wrote.swap(false, Relaxed) && self.had_request.load(Relaxed);
        wrote || self.active_requests.load(Relaxed) > 0
    }

    /// Asks an HTTP/2 connection to close. Returns false for other connections, which cannot tell their clients.
    fn request_close(&self) -> bool {
        self.closing.cancel();
        self.is_http2.load(Relaxed)
    }
}

/// Guard of a request whose response is not complete.
#[derive(Debug)]
pub(super) struct ActiveRequest(Arc<Activity>);

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.active_requests.fetch_sub(1, Relaxed);
        // The idle time starts now.
        self.0.record_write();
    }
}

/// Closes the idle connections of one serving thread.
#[derive(Debug)]
pub(super) struct IdleReaper {
    entries: Vec<IdleEntry>,
    /// Number of entries at which the entries of closed connections are removed.
    cleanup_at: usize,
}

#[derive(Debug)]
struct IdleEntry {
    activity: Arc<Activity>,
    task: AbortHandle,
    /// Consecutive sweeps without activity; `None` before the first sweep.
    idle_sweeps: Option<u32>,
}

/// Consecutive idle sweeps after which a connection is closed. This takes the timeout plus at most a quarter of it. HTTP/2
/// clients have one more sweep to close the connection themselves.
const IDLE_SWEEPS_MAX: u32 = 4;

const CLEANUP_MIN: usize = 1024;

impl IdleReaper {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), cleanup_at: CLEANUP_MIN }
    }

    /// The time between two sweeps for connections that may be idle for `timeout`.
    pub(super) fn sweep_period(timeout: Duration) -> Duration {
        (timeout / IDLE_SWEEPS_MAX).max(Duration::from_millis(1))
    }

    /// Adds the connection that `task` serves.
    pub(super) fn watch(&mut self, activity: Arc<Activity>, task: AbortHandle) {
        if self.entries.len() >= self.cleanup_at {
            // An abort handle keeps the memory of its task allocated even after the task has ended.
            self.entries.retain(|entry| !entry.task.is_finished());
            self.cleanup_at = CLEANUP_MIN.max(2 * self.entries.len());
        }
        self.entries.push(IdleEntry { activity, task, idle_sweeps: None });
    }

    /// Closes the connections that were idle for too long.
    pub(super) fn sweep(&mut self) {
        self.entries.retain_mut(|IdleEntry { activity, task, idle_sweeps }| {
            let count = if activity.take_activity() { 0 } else { idle_sweeps.map_or(0, |count| count + 1) };
            *idle_sweeps = Some(count);
            if count < IDLE_SWEEPS_MAX || count == IDLE_SWEEPS_MAX && activity.request_close() {
                return !task.is_finished();
            }
            task.abort();
            false
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `act` before each sweep and returns the number of sweeps until the connection is closed.
    async fn sweeps_until_closed(mut act: impl FnMut(&Arc<Activity>)) -> Option<u32> {
        let (activity, task) = (Arc::new(Activity::default()), tokio::spawn(std::future::pending::<()>()));
        let mut reaper = IdleReaper::new();
        reaper.watch(activity.clone(), task.abort_handle());
        for n in 1..100 {
            act(&activity);
            reaper.sweep();
            if reaper.entries.is_empty() {
                assert!(task.await.unwrap_err().is_cancelled());
                return Some(n);
            }
        }
        None
    }

    #[tokio::test]
    async fn only_an_idle_connection_is_closed() {
        let closed = Some(IDLE_SWEEPS_MAX + 1);
        assert_eq!(sweeps_until_closed(|_| {}).await, closed);
        assert_eq!(sweeps_until_closed(|activity| activity.record_write()).await, closed, "writes before a request");
        let request = |activity: &Arc<Activity>| drop(activity.start_request(Version::HTTP_11));
        assert_eq!(sweeps_until_closed(request).await, None);
        let mut active = None;
        let long_request = |activity: &Arc<Activity>| {
            active.get_or_insert_with(|| activity.start_request(Version::HTTP_11));
        };
        assert_eq!(sweeps_until_closed(long_request).await, None);
        let mut requested = false;
        let once = |version| {
            move |activity: &Arc<Activity>| {
                if !std::mem::replace(&mut requested, true) {
                    drop(activity.start_request(version));
                }
            }
        };
        assert_eq!(sweeps_until_closed(once(Version::HTTP_11)).await, closed);
        let later = Some(IDLE_SWEEPS_MAX + 2);
        assert_eq!(sweeps_until_closed(once(Version::HTTP_2)).await, later, "one sweep after the GOAWAY");
        let mut requested = false;
        let slow_download = move |activity: &Arc<Activity>| {
            if !std::mem::replace(&mut requested, true) {
                drop(activity.start_request(Version::HTTP_11));
            }
            activity.record_write();
        };
        assert_eq!(sweeps_until_closed(slow_download).await, None);
    }

    #[tokio::test]
    async fn closed_connections_are_removed_between_sweeps() {
        let mut reaper = IdleReaper::new();
        for _ in 0..10 * CLEANUP_MIN {
            let task = tokio::spawn(async {});
            reaper.watch(Arc::default(), task.abort_handle());
            task.await.unwrap();
        }
        assert!(reaper.entries.len() <= CLEANUP_MIN, "{}", reaper.entries.len());
    }
}
