//! How long a connection may keep its place and give nothing to do.
//!
//! A timer a connection, set anew with each request, costs a tenth of what a hit does. Here a request leaves a sign, and
//! once in a while the serving thread looks at the signs of all its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http::Version;
use tokio::task::AbortHandle;

/// What a connection has done since it was last looked at.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// A request has come, once.
    greeted: AtomicBool,
    /// hyper's pings look after it.
    http2: AtomicBool,
    serving: AtomicUsize,
    requests: AtomicUsize,
    wrote: AtomicBool,
}

impl Signs {
    /// A request's header is here whole; until this is dropped it is the client who waits.
    pub(super) fn serving(self: &Arc<Self>, version: Version) -> Serving {
        self.greeted.store(true, Relaxed);
        if version == Version::HTTP_2 {
            self.http2.store(true, Relaxed);
        }
        self.serving.fetch_add(1, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        Serving(self.clone())
    }

    /// How many requests have come.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// The client has taken bytes of an answer.
    pub(super) fn wrote(&self) {
        self.wrote.store(true, Relaxed);
    }

    fn take(&self) -> bool {
        // Before its first request nothing that we send counts: it may be a greeting to nobody.
        let wrote = self.wrote.swap(false, Relaxed) && self.greeted.load(Relaxed);
        wrote || self.http2.load(Relaxed) || self.serving.load(Relaxed) > 0
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Serving(Arc<Signs>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.serving.fetch_sub(1, Relaxed);
        // The time until the next request begins now.
        self.0.wrote();
    }
}

/// The connections of one serving thread.
#[derive(Debug)]
pub(super) struct Patience {
    watched: Vec<Watched>,
    /// How many there may be until those that have ended are let go.
    tidy_at: usize,
}

#[derive(Debug)]
struct Watched {
    signs: Arc<Signs>,
    task: AbortHandle,
    /// Looks in a row that found no sign, since the first or since the last that found one.
    quiet: Option<u32>,
}

/// A connection is ended by the look that finds it quiet this many times: it may be quiet for the timeout, and at most a
/// quarter longer.
const LOOKS: u32 = 4;

const TIDY_MIN: usize = 1024;

impl Patience {
    pub(super) fn new() -> Self {
        Self { watched: Vec::new(), tidy_at: TIDY_MIN }
    }

    /// The time between two looks, if a connection may be quiet for `timeout`.
    pub(super) fn period(timeout: Duration) -> Duration {
        (timeout / LOOKS).max(Duration::from_millis(1))
    }

    /// Watches over the connection that `task` serves.
    pub(super) fn watch(&mut self, signs: Arc<Signs>, task: AbortHandle) {
        if self.watched.len() >= self.tidy_at {
            // A handle keeps the memory of its task, ended or not.
            self.watched.retain(|watched| !watched.task.is_finished());
            self.tidy_at = TIDY_MIN.max(2 * self.watched.len());
        }
        self.watched.push(Watched { signs, task, quiet: None });
    }

    /// Ends the connections that have been quiet for too long.
    pub(super) fn look(&mut self) {
        self.watched.retain_mut(|Watched { signs, task, quiet }| {
            let looks = if signs.take() { 0 } else { quiet.map_or(0, |looks| looks + 1) };
            *quiet = Some(looks);
            if looks == LOOKS {
                task.abort();
            }
            looks < LOOKS && !task.is_finished()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many looks a connection is ended that does `sign` before each.
    async fn looks(mut sign: impl FnMut(&Arc<Signs>)) -> Option<u32> {
        let (signs, task) = (Arc::new(Signs::default()), tokio::spawn(std::future::pending::<()>()));
        let mut patience = Patience::new();
        patience.watch(signs.clone(), task.abort_handle());
        for n in 1..100 {
            sign(&signs);
            patience.look();
            if patience.watched.is_empty() {
                assert!(task.await.unwrap_err().is_cancelled());
                return Some(n);
            }
        }
        None
    }

    #[tokio::test]
    async fn only_a_connection_that_gives_nothing_to_do_is_ended() {
        assert_eq!(looks(|_| {}).await, Some(LOOKS + 1));
        // What is sent to a client that has asked nothing is no sign.
        assert_eq!(looks(|signs| signs.wrote()).await, Some(LOOKS + 1));
        assert_eq!(looks(|signs| drop(signs.serving(Version::HTTP_11))).await, None);
        let mut first = None;
        assert_eq!(looks(|signs| first = first.take().or_else(|| Some(signs.serving(Version::HTTP_11)))).await, None);
        let mut asked = false;
        let once = |version| {
            move |signs: &Arc<Signs>| {
                if !std::mem::replace(&mut asked, true) {
                    drop(signs.serving(version));
                }
            }
        };
        assert_eq!(looks(once(Version::HTTP_11)).await, Some(LOOKS + 1));
        assert_eq!(looks(once(Version::HTTP_2)).await, None);
        let mut asked = false;
        let slow_download = move |signs: &Arc<Signs>| {
            if !std::mem::replace(&mut asked, true) {
                drop(signs.serving(Version::HTTP_11));
            }
            signs.wrote();
        };
        assert_eq!(looks(slow_download).await, None);
    }

    #[tokio::test]
    async fn connections_that_have_ended_are_let_go_before_the_next_look() {
        let mut patience = Patience::new();
        for _ in 0..10 * TIDY_MIN {
            let task = tokio::spawn(async {});
            patience.watch(Arc::default(), task.abort_handle());
            task.await.unwrap();
        }
        assert!(patience.watched.len() <= TIDY_MIN, "{}", patience.watched.len());
    }
}
