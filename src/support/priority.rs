//! Who yields to whom: hits wait for nobody, so threads that work for anything else stand back from those that serve.
//!
//! On Linux a priority is a thread's own, so only threads that do nothing else are ever lowered: those of the resize pool,
//! and those that tokio keeps for what may block. Without the right to lower it, all works the same, but hits wait longer.

use std::cell::Cell;

use thread_priority::{NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy};
use tokio::task::JoinHandle;

/// Some tenth of a core where hits take all of it: uploads go on.
const NICE_BLOCKING: i32 = 10;

/// Threads of one runtime for what may block: enough to keep a disk busy, and each takes about a megabyte.
pub const BLOCKING_THREADS_MAX: usize = 16;

/// The lowest there is, where there is no class below.
const NICE_IDLE: i32 = 19;

thread_local! {
    /// Whether the current thread has been lowered.
    static LOWERED: Cell<bool> = const { Cell::new(false) };
}

/// Lets the current thread run only when no other wants to: `SCHED_IDLE` of sched(7). Unlike one that is merely nice, such
/// a thread gives way in the moment another wakes, rather than at the end of its slice of some milliseconds.
pub fn idle() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    let idle = thread_priority::set_thread_priority_and_policy(
        thread_priority::thread_native_id(),
        ThreadPriority::Min,
        policy,
    );
    if let Err(error) = idle
        && let Err(also) = rustix::process::nice(NICE_IDLE)
    {
        tracing::warn!(%error, %also, "resize threads run at the priority of the serving threads");
    }
}

/// Runs `work`, which may block, on one of the runtime's threads for such work, behind what serves.
pub fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    tokio::task::spawn_blocking(move || {
        if !LOWERED.replace(true) {
            // Without the right to do so the thread stays as it is, which only costs others time.
            let _ = rustix::process::nice(NICE_BLOCKING);
        }
        work()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The current thread's nice value and scheduling policy, by proc_pid_stat(5).
    fn scheduled() -> (String, String) {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        // The third field of the file is the first behind the name.
        (fields[19 - 3].to_owned(), fields[41 - 3].to_owned())
    }

    #[tokio::test]
    async fn what_may_block_stands_back_from_what_serves_and_the_runtime_does_not() {
        let here = scheduled();
        for _ in 0..2 {
            assert_eq!(blocking(scheduled).await.unwrap().0, NICE_BLOCKING.to_string());
        }
        assert_eq!(scheduled(), here);
    }

    #[test]
    fn an_idle_thread_is_of_the_idle_class() {
        let idle = std::thread::spawn(|| {
            idle();
            scheduled()
        });
        // SCHED_IDLE of linux/sched.h.
        assert_eq!(idle.join().unwrap().1, "5");
    }
}
