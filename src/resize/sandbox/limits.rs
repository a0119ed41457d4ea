//! Limits of the sandboxed process, which are passed on its command line.

use std::ffi::OsString;

/// First argument of the child process. It is internal, so no help text mentions it.
const COMMAND: &str = "sandbox";

/// Limits of the child process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Bytes of address space beyond the amount in use when the limit is set.
    pub memory: u64,
    /// Seconds of CPU time.
    pub seconds: u64,
}

impl SandboxLimits {
    /// The command line of the child process, without the program name.
    pub(super) fn to_arguments(self) -> [String; 3] {
        [COMMAND.to_owned(), self.memory.to_string(), self.seconds.to_string()]
    }

    /// Parses a command line without the program name; `None` unless it starts the child process.
    pub fn from_arguments(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let is_command = arguments.next()? == COMMAND;
        let mut number = || arguments.next()?.to_str()?.parse().ok();
        let limits = Self { memory: number()?, seconds: number()? };
        (is_command && arguments.next().is_none()).then_some(limits)
    }
}
