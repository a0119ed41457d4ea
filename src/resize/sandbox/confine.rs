//! Confinement of the child process before it reads untrusted bytes: limited memory and CPU time, and no access to
//! files, the network or other processes.
//!
//! The kernel enforces the confinement, regardless of the code that the process runs afterwards. On Linux it consists
//! of seccomp and resource limits; without seccomp nothing is decoded. On other systems, only CPU time and files are
//! limited.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::limits::SandboxLimits;

/// Confines this process, which must have only one thread.
///
/// # Errors
/// The system does not support a part of the confinement.
pub(super) fn confine(limits: SandboxLimits) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    linux::die_with_parent()?;
    #[cfg(target_os = "linux")]
    limit(Resource::As, linux::address_space()?.saturating_add(limits.memory))?;
    // The process is killed one second later if it ignores the first signal.
    let seconds = limits.seconds.max(1);
    setrlimit(Resource::Cpu, Rlimit { current: Some(seconds), maximum: Some(seconds.saturating_add(1)) })?;
    for resource in [Resource::Core, Resource::Fsize, Resource::Nofile, Resource::Nproc] {
        limit(resource, 0)?;
    }
    #[cfg(target_os = "linux")]
    linux::filter(limits.task)?;
    Ok(())
}

fn limit(resource: Resource, maximum: u64) -> io::Result<()> {
    Ok(setrlimit(resource, Rlimit { current: Some(maximum), maximum: Some(maximum) })?)
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::io;

    use pixels::SandboxTask;
    use rustix::process::{DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        apply_filter,
    };

    /// Ends the process when its parent ends. If the parent has ended already, the end of the input ends the process.
    pub(super) fn die_with_parent() -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(())
    }

    /// Number of mapped bytes (proc(5), `/proc/pid/statm`): the program, its libraries and its stack. Also makes the
    /// memory of the process inaccessible to other processes.
    pub(super) fn address_space() -> io::Result<u64> {
        let text = std::fs::read_to_string("/proc/self/statm")?;
        // This must follow the read, because /proc/self of a process that is not dumpable belongs to root.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        let pages = text.split(' ').next().and_then(|pages| pages.parse::<u64>().ok());
        let pages = pages.ok_or_else(|| io::Error::other("/proc/self/statm has no number"))?;
        Ok(pages.saturating_mul(rustix::param::page_size() as u64))
    }

    /// Allows the system calls for input, output, memory and exit. Any other call kills the process, but opening a file
    /// only fails if the process encodes: the encoder of JPEG XL asks for the number of processors, for which the standard
    /// library reads `/proc/self/cgroup`.
    pub(super) fn filter(task: SandboxTask) -> io::Result<()> {
        let mut rules = rules()?;
        if task == SandboxTask::Encode {
            // The kernel obeys the stricter of two filters.
            let deny = SeccompAction::Errno(libc::EACCES.unsigned_abs());
            apply(OPEN.iter().map(|call| (*call, Vec::new())).collect(), SeccompAction::Allow, deny)?;
            rules.extend(OPEN.iter().chain([&libc::SYS_sched_getaffinity]).map(|call| (*call, Vec::new())));
        }
        apply(rules, SeccompAction::KillProcess, SeccompAction::Allow)
    }

    /// The calls that open a file.
    #[cfg(target_arch = "x86_64")]
    const OPEN: &[libc::c_long] = &[libc::SYS_open, libc::SYS_openat];
    #[cfg(not(target_arch = "x86_64"))]
    const OPEN: &[libc::c_long] = &[libc::SYS_openat];

    type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;

    fn apply(rules: Rules, otherwise: SeccompAction, matching: SeccompAction) -> io::Result<()> {
        let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
        let filter = SeccompFilter::new(rules, otherwise, matching, arch).map_err(io::Error::other)?;
        let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)
    }

    fn rules() -> io::Result<Rules> {
        use SeccompCmpOp::{Eq, Le, MaskedEq};
        let not_executable = || only(2, MaskedEq(libc::PROT_EXEC as u64), 0);
        let own = u64::from(rustix::process::getpid().as_raw_nonzero().get().unsigned_abs());
        Ok(BTreeMap::from([
            // Standard input, output and error. Other open descriptors cannot be used.
            (libc::SYS_read, only(0, Eq, 0)?),
            (libc::SYS_write, only(0, Le, 2)?),
            (libc::SYS_writev, only(0, Le, 2)?),
            // Memory that is not executable.
            (libc::SYS_mmap, not_executable()?),
            (libc::SYS_mprotect, not_executable()?),
            (libc::SYS_munmap, Vec::new()),
            (libc::SYS_mremap, Vec::new()),
            (libc::SYS_madvise, Vec::new()),
            (libc::SYS_brk, Vec::new()),
            // Allocators name their mappings.
            (libc::SYS_prctl, only(0, Eq, libc::PR_SET_VMA as u64)?),
            // Locks, seeds of hash tables, CPU time.
            (libc::SYS_futex, Vec::new()),
            (libc::SYS_sched_yield, Vec::new()),
            (libc::SYS_getrandom, Vec::new()),
            (libc::SYS_clock_gettime, Vec::new()),
            // Panics, aborts and exit: signals only to the process itself.
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

    /// A rule for calls whose argument `n` fulfills the comparison with `value`.
    fn only(n: u8, compare: SeccompCmpOp, value: u64) -> io::Result<Vec<SeccompRule>> {
        let condition = SeccompCondition::new(n, SeccompCmpArgLen::Qword, compare, value).map_err(io::Error::other)?;
        Ok(vec![SeccompRule::new(vec![condition]).map_err(io::Error::other)?])
    }
}
