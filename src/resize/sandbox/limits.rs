//! Limits of the sandboxed process, which are passed on its command line.

use std::ffi::OsString;

use pixels::SandboxTask;

/// First argument of the child process. It is internal, so no help text mentions it.
const COMMAND: &str = "sandbox";
const DECODE: &str = "decode";
const ENCODE: &str = "encode";

/// Limits of the child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Bytes of address space beyond the amount in use when the limit is set.
    pub memory: u64,
    /// Seconds of CPU time.
    pub seconds: u64,
    /// The requests that the child process fulfills.
    pub task: SandboxTask,
}

impl SandboxLimits {
    /// The command line of the child process, without the program name.
    pub(super) fn to_arguments(self) -> [String; 4] {
        let task = match self.task {
            SandboxTask::Decode => DECODE,
            SandboxTask::Encode => ENCODE,
        };
        [COMMAND.to_owned(), self.memory.to_string(), self.seconds.to_string(), task.to_owned()]
    }

    /// Parses a command line without the program name; `None` unless it starts the child process.
    pub fn from_arguments(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let is_command = arguments.next()? == COMMAND;
        let mut number = || arguments.next()?.to_str()?.parse().ok();
        let (memory, seconds) = (number()?, number()?);
        let task = match arguments.next()?.to_str()? {
            DECODE => SandboxTask::Decode,
            ENCODE => SandboxTask::Encode,
            _ => return None,
        };
        let limits = Self { memory, seconds, task };
        (is_command && arguments.next().is_none()).then_some(limits)
    }
}
