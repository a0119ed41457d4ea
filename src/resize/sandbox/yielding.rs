//! Processes that work for no client. They are stopped while a resize thread works for one, because processes and threads of the
//! lowest priority would share the CPU evenly.
//!
//! A job for a client counts only once it has its thread and its memory, so it never waits for something that a stopped process
//! holds. A stopped process ends with this one, like all others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, kill_process};

/// The processes, and the number of jobs for clients.
#[derive(Debug, Default)]
pub(in crate::resize) struct Yielding(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    client_jobs: usize,
    processes: Vec<Pid>,
}

/// A job for a client, until it is dropped.
#[derive(Debug)]
pub(in crate::resize) struct ClientJob(Arc<Yielding>);

/// A process that yields. It must be dropped before the process is reaped, because another process could get its id then.
#[derive(Debug)]
pub(super) struct YieldingProcess {
    yielding: Arc<Yielding>,
    process: Pid,
}

impl Yielding {
    /// Stops the processes until the job is dropped.
    pub(in crate::resize) fn start_client_job(self: &Arc<Self>) -> ClientJob {
        let mut state = self.lock();
        state.client_jobs += 1;
        if state.client_jobs == 1 {
            state.send(Signal::STOP);
        }
        ClientJob(self.clone())
    }

    /// Adds a child process that has not been reaped. `None` if `id` is not the id of a process.
    pub(super) fn add(self: &Arc<Self>, id: u32) -> Option<YieldingProcess> {
        let process = Pid::from_raw(i32::try_from(id).ok()?)?;
        let mut state = self.lock();
        if state.client_jobs > 0 {
            send(process, Signal::STOP);
        }
        state.processes.push(process);
        Some(YieldingProcess { yielding: self.clone(), process })
    }

    /// Ignores poisoning: the state is consistent at every unlock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn send(&self, signal: Signal) {
        self.processes.iter().for_each(|process| send(*process, signal));
    }
}

impl Drop for ClientJob {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.client_jobs -= 1;
        if state.client_jobs == 0 {
            state.send(Signal::CONT);
        }
    }
}

impl Drop for YieldingProcess {
    fn drop(&mut self) {
        self.yielding.lock().processes.retain(|process| *process != self.process);
    }
}

/// Fails only if the process has ended, which its parent finds out itself.
fn send(process: Pid, signal: Signal) {
    let _ = kill_process(process, signal);
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};

    use super::*;

    /// State of a process: the first letter of field 3 of proc_pid_stat(5), "T" if it is stopped.
    fn is_stopped(child: &Child) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        stat.rsplit(')').next().unwrap().trim_start().starts_with('T')
    }

    #[track_caller]
    fn until(child: &Child, stopped: bool) {
        let start = std::time::Instant::now();
        while is_stopped(child) != stopped {
            assert!(start.elapsed().as_secs() < 30, "expected stopped: {stopped}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn processes_are_stopped_while_any_job_for_a_client_runs() {
        let yielding = Arc::new(Yielding::default());
        let start = || Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let (mut early, mut late) = (start(), start());
        let first_process = yielding.add(early.id()).unwrap();
        let first = yielding.start_client_job();
        let second = yielding.start_client_job();
        let second_process = yielding.add(late.id()).unwrap();
        until(&early, true);
        until(&late, true);
        drop(first);
        assert!(is_stopped(&early) && is_stopped(&late));
        drop(second_process);
        drop(second);
        until(&early, false);
        assert!(is_stopped(&late), "a removed process gets no signal");
        drop(first_process);
        for child in [&mut early, &mut late] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}
