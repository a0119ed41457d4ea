//! A pool of threads at the lowest priority, with a bounded queue.
//!
//! Because of the priority these threads use only the CPU time that the serving threads leave, so a cache hit does not
//! wait for pixel work.

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

/// A fixed number of threads and a queue of limited length.
pub(super) struct BoundedPool {
    queue: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a job returned no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolError {
    /// The queue is full.
    Full,
    /// The pool was closed.
    Closed,
    /// The job panicked. The thread continues with the next job.
    Panicked,
}

impl BoundedPool {
    /// Starts the threads (0: one per core).
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

    /// Runs `job` on one of the threads. A job whose future is dropped while it is queued never runs.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (reply, result) = oneshot::channel();
        let job = move || {
            if !reply.is_closed() {
                // Unwind safe: the job owns everything it uses, so no half-modified state survives the panic.
                let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(|_| PoolError::Panicked);
                // The send fails if the future was dropped meanwhile; then the result is not needed.
                let _ = reply.send(outcome);
            }
        };
        self.enqueue(Box::new(job))?;
        result.await.unwrap_or(Err(PoolError::Closed))
    }

    fn enqueue(&self, job: Job) -> Result<(), PoolError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        match queue.as_ref().map(|queue| queue.try_send(job)) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => Err(PoolError::Full),
            Some(Err(TrySendError::Disconnected(_))) | None => Err(PoolError::Closed),
        }
    }

    /// Number of queued jobs.
    pub(super) fn waiting(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(0, Sender::len)
    }

    /// Refuses new jobs, runs the queued ones, and ends the threads.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Joining cannot fail: jobs catch their panics.
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

impl fmt::Debug for BoundedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedPool").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    fn pool(queue_length: usize) -> BoundedPool {
        BoundedPool::start(1, NonZeroUsize::new(queue_length).unwrap()).unwrap()
    }

    /// Occupies the only thread until the returned sender is dropped. Returns after the job has started.
    fn occupy(pool: &Arc<BoundedPool>) -> std::sync::mpsc::Sender<()> {
        let (free, busy) = channel::<()>();
        let (started, starts) = channel();
        let pool = pool.clone();
        tokio::spawn(async move {
            let job = move || {
                started.send(()).unwrap();
                let _ = busy.recv();
            };
            pool.run(job).await
        });
        tokio::task::block_in_place(|| starts.recv()).unwrap();
        free
    }

    #[tokio::test]
    async fn panic_in_a_job_is_an_error_and_does_not_end_the_thread() {
        let pool = pool(10);
        let panics = pool.run(|| panic!("simulated codec panic")).await;
        assert_eq!(panics, Err::<(), _>(PoolError::Panicked));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn job_is_refused_if_the_queue_is_full() {
        let pool = Arc::new(pool(1));
        let free = occupy(&pool);
        let waits = {
            tokio::spawn({
                let pool = pool.clone();
                async move { pool.run(|| 1).await }
            })
        };
        while pool.queue.lock().unwrap().as_ref().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 2).await, Err(PoolError::Full));
        drop(free);
        assert_eq!(waits.await.unwrap(), Ok(1));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn queued_job_does_not_run_after_its_future_is_dropped() {
        let pool = Arc::new(pool(10));
        let free = occupy(&pool);
        let ran = Arc::new(AtomicBool::new(false));
        let runs = ran.clone();
        let mut waits = Box::pin(pool.run(move || runs.store(true, Ordering::SeqCst)));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(waits);
        drop(free);
        assert_eq!(pool.run(|| 7).await, Ok(7), "jobs run in order, so the turn of the dropped job has passed");
        assert!(!ran.load(Ordering::SeqCst));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn close_runs_queued_jobs_and_refuses_new_ones() {
        let pool = Arc::new(pool(10));
        let free = occupy(&pool);
        let mut waits = Box::pin(pool.run(|| 7));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(free);
        tokio::task::block_in_place(|| pool.close());
        assert_eq!(waits.await, Ok(7));
        assert_eq!(pool.run(|| 8).await, Err(PoolError::Closed));
    }
}
