//! Lanes: pools of threads at the lowest priority, each with a bounded queue.
//!
//! Because of the priority these threads use only the CPU time that the serving threads leave, so a cache hit does not
//! wait for pixel work. The slow lane has half as many threads as the fast lane. The threads of both share the cores
//! evenly, so short jobs get at least two thirds of the CPU time however many long ones there are.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::futures::Notified;
use tokio::sync::oneshot;

use super::turns::{JobOwner, Turn, TurnError, Turns};
use crate::support::priority;

/// The kind of jobs that a pool runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Jobs that are expected to take at most `work.slow_after` of CPU time.
    Fast,
    /// All others.
    Slow,
    /// Jobs that no client waits for. They start only while the other two lanes have nothing to do.
    Idle,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Fast, Self::Slow, Self::Idle];

    /// Name in metrics, messages and the names of threads.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::Slow => "slow",
            Self::Idle => "idle",
        }
    }

    /// Number of threads, for `threads` threads of the fast lane.
    pub(super) fn threads(self, threads: usize) -> usize {
        match self {
            Self::Fast => threads,
            Self::Slow | Self::Idle => (threads / 2).max(1),
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads and a queue of limited length.
pub(super) struct LanePool {
    turns: Arc<Turns>,
    queue: Mutex<Option<Sender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// Why a job returned no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PoolError {
    /// The pool was closed.
    Closed,
    /// The job panicked. The thread continues with the next job.
    Panicked,
}

impl LanePool {
    /// Starts the threads. `waiting_max` jobs may wait for one of them.
    pub(super) fn start(lane: Lane, threads: usize, waiting_max: NonZeroUsize) -> io::Result<Self> {
        let turns = Arc::new(Turns::new(threads, waiting_max));
        // A job is queued only in its turn, and a thread that has just ended a job may not have taken the next one yet.
        let (queue, jobs) = bounded(threads);
        let start = |n| {
            let jobs = jobs.clone();
            thread::Builder::new().name(format!("resize-{}-{n}", lane.as_str())).spawn(move || work(&jobs))
        };
        let threads = (0..threads).map(start).collect::<io::Result<_>>()?;
        Ok(Self { turns, queue: Mutex::new(Some(queue)), threads: Mutex::new(threads) })
    }

    /// Waits for a thread.
    pub(super) async fn turn(&self, owner: JobOwner) -> Result<Turn, TurnError> {
        self.turns.take(owner).await
    }

    /// Runs `job` on the thread that `turn` stands for. A job whose future is dropped before never runs.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        turn: Turn,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (reply, result) = oneshot::channel();
        let job = move || {
            let _turn = turn;
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
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => Err(PoolError::Closed),
        }
    }

    /// Number of jobs that wait for a turn.
    pub(super) fn waiting(&self) -> usize {
        self.turns.waiting()
    }

    /// Number of jobs that run.
    pub(super) fn running(&self) -> usize {
        self.turns.taken()
    }

    /// Number of threads.
    pub(super) fn threads(&self) -> usize {
        self.turns.total()
    }

    /// Waits until a job returns its turn, from the call on.
    pub(super) fn returned_turn(&self) -> Notified<'_> {
        self.turns.returned()
    }

    /// Refuses waiting and new jobs, and leaves those that run to the end of the process.
    pub(super) fn abandon(&self) {
        self.turns.close();
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Refuses waiting and new jobs, finishes those that have a thread, and ends the threads.
    pub(super) fn close(&self) {
        self.abandon();
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

impl fmt::Debug for LanePool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LanePool").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    fn pool(queue_length: usize) -> LanePool {
        LanePool::start(Lane::Fast, 1, NonZeroUsize::new(queue_length).unwrap()).unwrap()
    }

    /// Waits for a turn and runs `job`.
    async fn run<T: Send + 'static>(
        pool: &LanePool,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Result<T, PoolError>, TurnError> {
        let turn = pool.turn(JobOwner::Operator).await?;
        Ok(pool.run(turn, job).await)
    }

    /// Occupies the only thread until the returned sender is dropped. Returns after the job has started.
    fn occupy(pool: &Arc<LanePool>) -> std::sync::mpsc::Sender<()> {
        let (free, busy) = channel::<()>();
        let (started, starts) = channel();
        let pool = pool.clone();
        tokio::spawn(async move {
            let job = move || {
                started.send(()).unwrap();
                let _ = busy.recv();
            };
            run(&pool, job).await
        });
        tokio::task::block_in_place(|| starts.recv()).unwrap();
        free
    }

    #[tokio::test]
    async fn panic_in_a_job_is_an_error_and_does_not_end_the_thread() {
        let pool = pool(10);
        let panics = run(&pool, || panic!("simulated codec panic")).await;
        assert_eq!(panics, Ok(Err::<(), _>(PoolError::Panicked)));
        assert_eq!(run(&pool, || 7).await, Ok(Ok(7)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn job_is_refused_if_the_queue_is_full() {
        let pool = Arc::new(pool(1));
        let free = occupy(&pool);
        let mut waits = Box::pin(run(&pool, || 1));
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert_eq!(run(&pool, || 2).await, Err(TurnError::Full));
        drop(free);
        assert_eq!(waits.await, Ok(Ok(1)));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn queued_job_does_not_run_after_its_future_is_dropped() {
        let pool = Arc::new(pool(10));
        let free = occupy(&pool);
        let ran = Arc::new(AtomicBool::new(false));
        let runs = ran.clone();
        let mut waits = Box::pin(run(&pool, move || runs.store(true, Ordering::SeqCst)));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(waits);
        drop(free);
        assert_eq!(run(&pool, || 7).await, Ok(Ok(7)), "jobs run in order, so the turn of the dropped job has passed");
        assert!(!ran.load(Ordering::SeqCst));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn close_finishes_jobs_that_have_a_thread_and_refuses_all_others() {
        let pool = Arc::new(pool(10));
        let turn = pool.turn(JobOwner::Operator).await.unwrap();
        let mut runs = Box::pin(pool.run(turn, || 7));
        assert!(futures_util::poll!(&mut runs).is_pending());
        let free = occupy(&pool);
        let mut waits = Box::pin(run(&pool, || 8));
        assert!(futures_util::poll!(&mut waits).is_pending());
        drop(free);
        tokio::task::block_in_place(|| pool.close());
        assert_eq!(runs.await, Ok(7));
        assert!(matches!(waits.await, Ok(Ok(8)) | Err(TurnError::Closed)));
        assert_eq!(run(&pool, || 9).await, Err(TurnError::Closed));
    }
}
