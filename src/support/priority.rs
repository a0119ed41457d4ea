//! Thread priorities: threads that do background work yield the CPU to the threads that serve cache hits.
//!
//! On Linux the priority belongs to a thread. Only dedicated threads get a lower priority: the resize threads, and the
//! threads of tokio's blocking pool. Without the permission to change priorities everything still works, but cache hits
//! wait longer.

use std::cell::Cell;

use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::task::JoinHandle;

/// Nice value of blocking-pool threads. They get about a tenth of a core that is busy with cache hits, enough for
/// uploads.
const NICE_BLOCKING: i32 = 10;

/// Maximum size of a runtime's blocking pool: enough to keep a disk busy. Each thread takes about a megabyte.
pub const BLOCKING_THREADS_MAX: usize = 16;

/// The lowest nice value, used where `SCHED_IDLE` is not available.
const NICE_IDLE: i32 = 19;

thread_local! {
    /// True once the priority of the current thread has been lowered.
    static IS_LOWERED: Cell<bool> = const { Cell::new(false) };
}

/// Gives the current thread the `SCHED_IDLE` policy of sched(7), so that it runs only on an otherwise idle core.
///
/// Unlike a thread with a high nice value, an idle thread is preempted as soon as another thread becomes runnable, rather
/// than at the end of a time slice of several milliseconds.
pub fn set_idle() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let result = thread_priority::set_thread_priority_and_policy(
        thread_priority::thread_native_id(),
        ThreadPriority::Min,
        policy,
    );
    if let Err(error) = result
        && let Err(nice_error) = rustix::process::nice(NICE_IDLE)
    {
        tracing::warn!(%error, %nice_error, "resize threads run at the priority of the serving threads");
    }
}

/// Runs blocking `work` on the runtime's blocking pool with lowered priority.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        if !IS_LOWERED.replace(true) {
            // Without the permission the thread keeps its priority, which only slows down other threads.
            let _ = rustix::process::nice(NICE_BLOCKING);
        }
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The current thread's nice value and scheduling policy, fields 19 and 41 of proc_pid_stat(5).
    fn scheduling() -> (String, String) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // The first field after the command name is number 3.
        (fields[19 - 3].to_owned(), fields[41 - 3].to_owned())
    }

    #[tokio::test]
    async fn blocking_work_is_lowered_and_the_runtime_threads_are_not() {
        let here = scheduling();
        for _ in 0..2 {
            assert_eq!(blocking(scheduling).await.unwrap().0, NICE_BLOCKING.to_string());
        }
        assert_eq!(scheduling(), here);
    }

    #[test]
    fn set_idle_selects_the_idle_policy() {
        let idle = std::thread::spawn(|| {
            set_idle();
            scheduling()
        });
        // SCHED_IDLE of linux/sched.h.
        assert_eq!(idle.join().unwrap().1, "5");
    }
}
