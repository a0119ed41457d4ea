//! The CPU gate: a few threads at the lowest priority, and a bounded queue before them.
//!
//! The priority is the point: these threads take what the serving threads leave, so a hit does not wait for pixels.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::oneshot;

use crate::support::priority;
use crate::support::threads::count_or_cores;

type Job = Box<dyn FnOnce() + Send>;

pub(super) struct Gate {
    queue: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a job has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GateError {
    /// As many wait as may.
    Full,
    /// The gate has been closed.
    Closed,
    /// The job panicked. The thread lives on.
    Panicked,
}

impl Gate {
    pub(super) fn start(threads: usize, queue_length: NonZeroUsize) -> io::Result<Self> {
        let threads = count_or_cores(threads);
        let (queue, jobs) = bounded(queue_length.get());
        let start = |n| {
            let jobs = jobs.clone();
            thread::Builder::new().name(format!("resize-{n}")).spawn(move || work(&jobs))
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self { queue: Mutex::new(Some(queue)), threads: Mutex::new(threads) })
    }

    /// Runs `job` on one of the threads. If the returned future is dropped before the job has begun, it never runs.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GateError> {
        let (reply, result) = oneshot::channel();
        let job = move || {
            if !reply.is_closed() {
                // The job owns all it touches, and what it leaves half done is dropped with it.
                let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(|_| GateError::Panicked);
                // Nobody waits any more: the result is dropped.
                let _ = reply.send(outcome);
            }
        };
        self.enqueue(Box::new(job))?;
        result.await.unwrap_or(Err(GateError::Closed))
    }

    fn enqueue(&self, job: Job) -> Result<(), GateError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(GateError::Full),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(GateError::Closed),
        }
    }

    /// Jobs that wait for a thread.
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, Sender::len)
    }

    /// Lets no more in, runs what waits, and ends the threads.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Jobs catch their own panics.
            let _ = thread.join();
        }
    }
}

fn work(jobs: &Receiver<Job>) {
    priority::set_idle();
    for job in jobs {
        job();
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    fn gate(queue_length: usize) -> Gate {
        Gate::start(1, NonZeroUsize::new(queue_length).unwrap()).unwrap()
    }

    /// A job that keeps the only thread busy until its sender is dropped, and is known to have begun.
    fn occupy(gate: &Arc<Gate>) -> std::sync::mpsc::Sender<()> {
        let (free, busy) = channel::<()>();
        let (begun, begins) = channel();
        let gate = gate.clone();
        tokio::spawn(async move {
            let job = move || {
                begun.send(()).unwrap();
                let _ = busy.recv();
            };
            gate.run(job).await
        });
        tokio::task::block_in_place(|| begins.recv()).unwrap();
        free
    }

    #[tokio::test]
    async fn a_job_that_panics_is_an_error_and_the_thread_lives_on() {
        let gate = gate(10);
        let panics = gate.run(|| panic!("as if a codec did")).await;
        assert_eq!(panics, Err::<(), _>(GateError::Panicked));
        assert_eq!(gate.run(|| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_job_too_many_is_refused_at_once() {
        let gate = Arc::new(gate(1));
        let free = occupy(&gate);
        let waits = {
            tokio::spawn({
                let gate = gate.clone();
                async move { gate.run(|| 1).await }
            })
        };
        while gate.queue.lock().unwrap().as_ref().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.run(|| 2).await, Err(GateError::Full));
        drop(free);
        assert_eq!(waits.await.unwrap(), Ok(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_job_nobody_waits_for_is_never_begun() {
        let gate = Arc::new(gate(10));
        let free = occupy(&gate);
        let ran = Arc::new(AtomicBool::new(false));
        let runs = ran.clone();
        let mut waits = Box::pin(gate.run(move || runs.store(true, Ordering::SeqCst)));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(waits);
        drop(free);
        assert_eq!(gate.run(|| 7).await, Ok(7), "jobs run in order, so that one's turn has passed");
        assert!(!ran.load(Ordering::SeqCst));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn closing_runs_what_waits_and_refuses_what_comes() {
        let gate = Arc::new(gate(10));
        let free = occupy(&gate);
        let mut waits = Box::pin(gate.run(|| 7));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(free);
        tokio::task::block_in_place(|| gate.close());
        assert_eq!(waits.await, Ok(7));
        assert_eq!(gate.run(|| 8).await, Err(GateError::Closed));
    }
}
