//! The sandboxed AV1 decoder: a confined child process that implements [`pixels::Sandbox`].
//!
//! The AV1 decoder is not memory-safe enough to read untrusted bytes in the server process. It runs in a child process,
//! which executes this program again and is started for each original. The child confines itself before it reads any
//! AV1 data (`confine.rs`), so an abort, a crash or an endless loop affects only one original. The parent does not trust
//! the replies: it checks sizes against the header of the original before it allocates memory, and replaces unprintable
//! characters in texts.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pixels::{Sandbox, SandboxDecoder, SandboxError, SandboxOutput, YuvImage, YuvSamples, YuvShape};
use rustix::process::Signal;

mod child;
mod confine;
mod limits;
mod message;

#[cfg(test)]
mod tests;

pub use child::run;
pub use limits::SandboxLimits;

use message::{DecodeRequest, Reply};

/// The program to start, see [`set_program`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Sets the program to start. It must call [`run`] if its arguments are [`SandboxLimits`]. Without this call, which
/// test programs do not make, no decoder can be started. Only the first call has an effect.
pub fn set_program(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// Path of the running program, which stays valid if its file is replaced.
#[must_use]
pub fn current_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap_or_default()
    }
}

/// Starts a decoder and ends it, to check that AVIF originals can be decoded on this machine.
///
/// # Errors
/// The process could not be started or confined.
pub fn check() -> Result<(), SandboxError> {
    ProcessSandbox.start(0, CHECK_CPU_TIME).map(drop)
}

/// CPU time of a decoder that is started as a check.
const CHECK_CPU_TIME: Duration = Duration::from_secs(10);

/// Time that a decoder may take in addition to its CPU time. The decoder runs at the lowest priority, so on a busy
/// machine a second of CPU time can take many seconds, but a process that never ends must not occupy a resize thread.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Factor by which the elapsed time may exceed the CPU time, in addition to [`MAX_DELAY`].
const ELAPSED_PER_CPU_TIME: u32 = 4;
/// Upper bound of the elapsed time if the CPU time is unlimited. The kernel refuses longer socket timeouts.
const ELAPSED_MAX: Duration = Duration::from_secs(24 * 3600);

/// Starts one confined child process per original.
#[derive(Debug, Clone, Copy)]
pub struct ProcessSandbox;

impl Sandbox for ProcessSandbox {
    fn start(&self, memory_bytes: u64, cpu_time: Duration) -> Result<Box<dyn SandboxDecoder>, SandboxError> {
        let program = PROGRAM.get().ok_or_else(|| unavailable("no program is set for it"))?;
        Ok(Box::new(SandboxProcess::start(program, memory_bytes, cpu_time, MAX_DELAY)?))
    }
}

/// A running child process. It is killed when this is dropped.
#[derive(Debug)]
struct SandboxProcess {
    child: Child,
    socket: DeadlineSocket,
}

impl SandboxProcess {
    fn start(program: &Path, memory: u64, cpu_time: Duration, max_delay: Duration) -> Result<Self, SandboxError> {
        let seconds = cpu_time.as_secs().saturating_add(u64::from(cpu_time.subsec_nanos() > 0));
        let limits = SandboxLimits { memory, seconds };
        let (ours, theirs) = UnixStream::pair().map_err(|error| unavailable(&error))?;
        let input = OwnedFd::from(theirs);
        let output = input.try_clone().map_err(|error| unavailable(&error))?;
        let mut command = Command::new(program);
        command.arg0("resized").args(limits.to_arguments());
        command.env_clear();
        if cfg!(target_env = "musl") {
            // Otherwise mimalloc reserves a gigabyte of addresses before the limit is set.
            command.env("MIMALLOC_ARENA_RESERVE", "0");
        }
        command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| unavailable(&error))?;
        // Closes the parent's copies of the child's socket, so that reads end when the child ends.
        drop(command);
        let elapsed_max = max_delay.saturating_add(cpu_time.saturating_mul(ELAPSED_PER_CPU_TIME)).min(ELAPSED_MAX);
        let mut process = Self { child, socket: DeadlineSocket { stream: ours, end: Instant::now() + elapsed_max } };
        match process.read_reply() {
            Ok(Reply::Ready) => Ok(process),
            Ok(Reply::Unconfined(reason)) => Err(SandboxError::Unconfined { reason }),
            Ok(_) => Err(unavailable("it sent an unexpected reply instead of being ready")),
            Err(error) => Err(unavailable(&format!("{error}; {}", describe(process.end())))),
        }
    }

    fn request(&mut self, av1: &[u8], expected: YuvShape) -> io::Result<Result<SandboxOutput, SandboxError>> {
        let request = DecodeRequest::new(av1, expected)?;
        // If the child ended before it read the whole request, its reply may contain the reason.
        let sent = self.socket.write_all(&request.to_bytes()).and_then(|()| self.socket.write_all(av1));
        let (shape, cicp, cpu_time) = match (self.read_reply(), sent) {
            (Ok(Reply::Picture { shape, cicp, cpu_time }), Ok(())) => (shape, cicp, cpu_time),
            (Ok(Reply::Failed(reason)), _) => return Ok(Err(SandboxError::Damaged { reason })),
            (Ok(_), _) => return Err(io::Error::other("it sent an unexpected reply")),
            (Err(error), _) => return Err(error),
        };
        if shape != expected {
            let reason = format!("its AV1 has {shape}, and its header says {expected}");
            return Ok(Err(SandboxError::Damaged { reason }));
        }
        let planes = (0..shape.sampling.planes()).map(|n| self.read_plane(shape, n)).collect::<io::Result<_>>()?;
        let YuvShape { width, height, depth, sampling } = shape;
        Ok(Ok(SandboxOutput { image: YuvImage { width, height, depth, sampling, cicp, planes }, cpu_time }))
    }

    fn read_reply(&mut self) -> io::Result<Reply> {
        Reply::read(&mut self.socket)
    }

    /// Reads a plane. Its size was checked against the header of the original.
    fn read_plane(&mut self, shape: YuvShape, n: usize) -> io::Result<YuvSamples> {
        let (width, height) = shape.sampling.plane_size(n, (shape.width, shape.height));
        let samples = usize::try_from(u64::from(width) * u64::from(height)).map_err(io::Error::other)?;
        if shape.depth == 8 {
            let mut plane = vec![0; samples];
            self.socket.read_exact(&mut plane)?;
            return Ok(YuvSamples::U8(plane));
        }
        let mut plane = vec![0; samples];
        let mut bytes = vec![0; 2 * CHUNK_SAMPLES];
        let sample_max = (1 << shape.depth) - 1;
        for chunk in plane.chunks_mut(CHUNK_SAMPLES) {
            let bytes = &mut bytes[..2 * chunk.len()];
            self.socket.read_exact(bytes)?;
            for (sample, bytes) in chunk.iter_mut().zip(bytes.as_chunks().0) {
                // The child is not trusted, so samples are limited to the maximum of their bit depth.
                *sample = u16::from_ne_bytes(*bytes).min(sample_max);
            }
        }
        Ok(YuvSamples::U16(plane))
    }

    /// The error for a missing or invalid reply.
    fn failure(&mut self, error: &io::Error) -> SandboxError {
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let status = self.end();
        let signal = status.and_then(|status| status.signal());
        if is_late || signal == Some(Signal::XCPU.as_raw()) {
            return SandboxError::TimedOut;
        }
        if signal == Some(Signal::SYS.as_raw()) {
            tracing::error!("sandbox process killed for a forbidden system call");
        }
        SandboxError::Damaged { reason: format!("its decoder {}", describe(status)) }
    }

    /// Kills the process unless it has ended, and reaps it.
    fn end(&mut self) -> Option<ExitStatus> {
        // Killing a process that has ended does not change its status.
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl SandboxDecoder for SandboxProcess {
    fn decode(&mut self, av1: &[u8], shape: YuvShape) -> Result<SandboxOutput, SandboxError> {
        match self.request(av1, shape) {
            Ok(result) => result,
            Err(error) => Err(self.failure(&error)),
        }
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        self.end();
    }
}

fn unavailable(reason: &(impl ToString + ?Sized)) -> SandboxError {
    SandboxError::Unavailable { reason: reason.to_string() }
}

fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.signal(), status.code())) {
        Some((Some(signal), _)) if signal == Signal::KILL.as_raw() => "sent an invalid reply".to_owned(),
        Some((Some(signal), _)) => format!("ended by signal {signal}"),
        Some((_, Some(code))) => format!("ended with status {code}"),
        _ => "has disappeared".to_owned(),
    }
}

/// Number of two-byte samples that are read at once.
const CHUNK_SAMPLES: usize = 1 << 16;

/// The socket to the child process, with a deadline for all reads and writes.
#[derive(Debug)]
struct DeadlineSocket {
    stream: UnixStream,
    end: Instant,
}

impl DeadlineSocket {
    fn remaining(&self) -> io::Result<Duration> {
        let remaining = self.end.saturating_duration_since(Instant::now());
        if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining) }
    }
}

impl Read for DeadlineSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.remaining()?))?;
        self.stream.read(buffer)
    }
}

impl Write for DeadlineSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
