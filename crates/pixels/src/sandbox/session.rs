//! A sandboxed process whose CPU time counts against the deadline of the render call.

use std::time::Duration;

use crate::codecs::Codecs;
use crate::context::RenderContext;
use crate::deadline::{self, Deadline};
use crate::error::Error;
use crate::sandbox::{SandboxError, SandboxOutput, SandboxTask, SandboxWorker};

/// A running process.
pub(crate) struct SandboxSession {
    worker: Box<dyn SandboxWorker>,
    deadline: Deadline,
    /// CPU time of the process that was charged already.
    charged: Duration,
    /// CPU time that the process may use.
    limit: Duration,
    /// Makes the error for a request that the process could not fulfill.
    failed: fn(SandboxError) -> Error,
}

impl SandboxSession {
    /// Starts a process with the CPU time that is left. `failed` makes an error of its reports.
    ///
    /// # Errors
    /// No time is left, or the process could not be started or confined.
    pub(crate) fn start(
        task: SandboxTask,
        memory_bytes: u64,
        failed: fn(SandboxError) -> Error,
        context: &RenderContext,
    ) -> Result<Self, Error> {
        let unavailable = || Error::SandboxUnavailable { reason: "no sandbox is configured".to_owned() };
        let sandbox = context.sandbox.ok_or_else(unavailable)?;
        let deadline = context.deadline;
        deadline.check()?;
        let limit = deadline.remaining();
        let worker = sandbox.start(task, memory_bytes, limit).map_err(|error| to_error(error, deadline, failed))?;
        Ok(Self { worker, deadline, charged: Duration::ZERO, limit, failed })
    }

    /// Runs one request.
    ///
    /// # Errors
    /// No time is left, or the process failed.
    pub(crate) fn run<T>(
        &mut self,
        request: impl FnOnce(&mut dyn SandboxWorker) -> Result<SandboxOutput<T>, SandboxError>,
    ) -> Result<T, Error> {
        self.deadline.check()?;
        let output = request(&mut *self.worker).map_err(|error| {
            if error == SandboxError::TimedOut {
                self.charge(self.limit);
            }
            to_error(error, self.deadline, self.failed)
        })?;
        // The sandbox limits the CPU time as well, so a process gains nothing by reporting too little.
        self.charge(output.cpu_time);
        self.deadline.check()?;
        Ok(output.value)
    }

    /// Charges the CPU time of the process since the last charge.
    fn charge(&mut self, cpu_time: Duration) {
        deadline::charge(cpu_time.saturating_sub(self.charged));
        self.charged = self.charged.max(cpu_time);
    }
}

fn to_error(error: SandboxError, deadline: Deadline, failed: fn(SandboxError) -> Error) -> Error {
    match error {
        SandboxError::Unavailable { reason } => Error::SandboxUnavailable { reason },
        SandboxError::Unconfined { reason } => {
            let accepted: Codecs = Codecs::BUILT_IN.iter().filter(|codec| !codec.is_sandboxed()).collect();
            Error::SandboxUnconfined { reason, accepted }
        }
        SandboxError::TimedOut => deadline.error(),
        SandboxError::OutOfMemory | SandboxError::Failed { .. } => failed(error),
    }
}
