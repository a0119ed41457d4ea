//! What the decoding process gives up before it reads a byte that came from outside: memory and time without end, files,
//! the network, other processes.
//!
//! The kernel keeps it to that, whatever code runs in the process by then. On Linux that is seccomp beside resource limits, and
//! where there is none of it nothing is decoded. Other systems have the limits of time and files alone.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::process::Allowance;

/// Confines this process, which has one thread.
///
/// # Errors
/// What the system does not do.
pub(super) fn confine(allowance: Allowance) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    linux::die_with_the_parent()?;
    #[cfg(target_os = "linux")]
    limit(Resource::As, linux::address_space()?.saturating_add(allowance.memory))?;
    // A second later it is killed, where it has made something of the first signal.
    let seconds = allowance.seconds.max(1);
    setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) })?;
    for none in [Resource::Core, Resource::Fsize, Resource::Nofile, Resource::Nproc] {
        limit(none, 0)?;
    }
    #[cfg(target_os = "linux")]
    linux::filter()?;
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::io;

    use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        apply_filter,
    };

    /// And shows nobody its memory. What has lost its parent already is told by the end of its input.
    pub(super) fn die_with_the_parent() -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    }

    /// Bytes that are mapped now (proc(5), `/proc/pid/statm`): the program, its libraries and its stack.
    pub(super) fn address_space() -> io::Result<u64> {
        let text = std::fs::read_to_string("/proc/self/statm")?;
        // With the last file that is read, its memory becomes its own.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let pages = text.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
        let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm has no number"))?;
        Ok(pages.saturating_mul(rustix::param::page_size() as u64))
    }

    /// No other system calls than those of reading, answering, memory and the end; for any other the process is killed.
    pub(super) fn filter() -> io::Result<()> {
        let (kill, allow) = (SeccompAction::KillProcess, SeccompAction::Allow);
        let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
        let filter = SeccompFilter::new(rules()?, kill, allow, arch).map_err(io::Error::other)?;
        let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)
    }

    fn rules() -> io::Result<BTreeMap<libc::c_long, Vec<SeccompRule>>> {
        use SeccompCmpOp::{Eq, Le, MaskedEq};
        let not_executable = || only(2, MaskedEq(libc::PROT_EXEC as u64), 0);
        let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
        Ok(BTreeMap::from([
            // Its input, and its answers and last words. Whatever else may be open in it cannot be used.
            (libc::SYS_read, only(0, Eq, 0)?),
            (libc::SYS_write, only(0, Le, 2)?),
            (libc::SYS_writev, only(0, Le, 2)?),
            // Memory of which none becomes code.
            (libc::SYS_mmap, not_executable()?),
            (libc::SYS_mprotect, not_executable()?),
            (libc::SYS_munmap, Vec::new()),
            (libc::SYS_mremap, Vec::new()),
            (libc::SYS_madvise, Vec::new()),
            (libc::SYS_brk, Vec::new()),
            // Names of mappings, which allocators give.
            (libc::SYS_prctl, only(0, Eq, libc::PR_SET_VMA as u64)?),
            // Locks, seeds of hash tables, its own processor time.
            (libc::SYS_futex, Vec::new()),
            (libc::SYS_sched_yield, Vec::new()),
            (libc::SYS_getrandom, Vec::new()),
            (libc::SYS_clock_gettime, Vec::new()),
            // Panics, aborts and the end: signals to itself alone.
            (libc::SYS_rt_sigprocmask, Vec::new()),
            (libc::SYS_rt_sigaction, Vec::new()),
            (libc::SYS_rt_sigreturn, Vec::new()),
            (libc::SYS_sigaltstack, Vec::new()),
            (libc::SYS_getpid, Vec::new()),
            (libc::SYS_gettid, Vec::new()),
            (libc::SYS_tgkill, only(0, Eq, own)?),
            (libc::SYS_tkill, only(0, Eq, own)?),
            (libc::SYS_exit, Vec::new()),
            (libc::SYS_exit_group, Vec::new()),
        ]))
    }

    /// A rule for calls whose argument `n` compares so with `value`.
    fn only(n: u8, compare: SeccompCmpOp, value: u64) -> io::Result<Vec<SeccompRule>> {
        let condition = SeccompCondition::new(n, SeccompCmpArgLen::Qword, compare, value).map_err(io::Error::other)?;
        Ok(vec![SeccompRule::new(vec![condition]).map_err(io::Error::other)?])
    }
}
