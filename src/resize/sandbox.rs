//! A process of its own for codecs that are not memory-safe enough to see bytes from outside in this one.
//!
//! It is this program again, started for one original and gone with it: bytes of AV1 go in, planes come
//! out. Before it reads any of them it gives up what it does not need (`confine.rs`), so what goes wrong in it, an abort, a
//! kill, a picture that never ends, is one original's failure. This side believes nothing of what it says: sizes are held
//! against what the original's header promised before memory is taken for them, and texts are made printable.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::RenderError;
use super::coded::{Coded, Samples};
use super::deadline::{self, Deadline};

mod av1;
mod confine;
mod message;
mod process;

#[cfg(test)]
mod tests;

pub use process::{Allowance, run};

pub(super) use message::Shape;
use message::{Ask, Reply};

/// The program that is started: see [`decode_by`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// The command that this program is started with. It is nobody's to type, and in no help.
const COMMAND: &str = "decoder";

/// Says which program decodes: one that calls [`run`] where its arguments are an [`Allowance`]. What is not told, as test
/// programs are not, decodes nothing in a process of its own. Only the first call counts.
pub fn decode_by(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// This very program, also where its file has been replaced since it was started.
#[must_use]
pub fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().unwrap_or_default()
    }
}

/// How long the process may take beyond its processor time. It runs at the lowest priority, so on a machine that is busy serving
/// a second of work takes many; but a process that waits for nothing and never ends must not keep a resize thread.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much longer than its processor time it may take on top of that.
const SHARE: u32 = 4;

/// A process that decodes for one original. It ends with this.
#[derive(Debug)]
pub(super) struct Decoder {
    child: Child,
    wire: Wire,
    deadline: Deadline,
    /// Processor time of the process that has been counted as this thread's.
    charged: Duration,
}

/// Starts such a process and ends it: whether AVIF originals can be decoded here.
///
/// # Errors
/// Why it cannot be started or not be confined.
pub fn check() -> Result<(), String> {
    Decoder::start(0, Deadline::after(CHECK)).map(drop).map_err(|error| match error {
        RenderError::Unconfined { reason, .. } | RenderError::NoDecoder { reason } => reason,
        error => error.to_string(),
    })
}

/// The processor time of a process that decodes nothing.
const CHECK: Duration = Duration::from_secs(10);

impl Decoder {
    /// Starts the process, which may take `memory` bytes beyond what the program itself takes, and the deadline's processor time.
    ///
    /// # Errors
    /// It cannot be started or not be confined, which is not the original's fault; or there is no time left.
    pub(super) fn start(memory: u64, deadline: Deadline) -> Result<Self, RenderError> {
        let program = PROGRAM.get().ok_or_else(|| absent("no program is named for it"))?;
        Self::start_program(program, memory, deadline, PATIENCE)
    }

    fn start_program(program: &Path, memory: u64, deadline: Deadline, patience: Duration) -> Result<Self, RenderError> {
        deadline.check()?;
        let left = deadline.left();
        let allowance =
            Allowance { memory, seconds: left.as_secs().saturating_add(u64::from(left.subsec_nanos() > 0)) };
        let (ours, theirs) = UnixStream::pair().map_err(|error| absent(&error))?;
        let input = OwnedFd::from(theirs);
        let output = input.try_clone().map_err(|error| absent(&error))?;
        let mut command = Command::new(program);
        command.arg0("resized").args(allowance.arguments());
        command.env_clear();
        if cfg!(target_env = "musl") {
            // Its allocator would take a gigabyte of addresses before there is a limit to them.
            command.env("MIMALLOC_ARENA_RESERVE", "0");
        }
        command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| absent(&error))?;
        // With it go this side's copies of the child's end: once the child is gone, reading ends.
        drop(command);
        let end = Instant::now() + patience.saturating_add(left.saturating_mul(SHARE)).min(WAIT_MAX);
        let mut decoder = Self { child, wire: Wire { stream: ours, end }, deadline, charged: Duration::ZERO };
        match decoder.reply() {
            Ok(Reply::Ready) => Ok(decoder),
            Ok(Reply::Unconfined(reason)) => Err(RenderError::Unconfined { format: "AVIF", reason }),
            Ok(_) => Err(absent("it says something else than that it is ready")),
            Err(error) => Err(absent(&format!("{error}; {}", describe(decoder.end())))),
        }
    }

    /// Decodes one picture of AV1, whose container says what it is.
    ///
    /// # Errors
    /// It is damaged, is another picture than promised, or takes too long.
    pub(super) fn decode(&mut self, av1: &[u8], promised: Shape) -> Result<Coded, RenderError> {
        self.deadline.check()?;
        match self.ask(av1, promised) {
            Ok(decoded) => decoded,
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn ask(&mut self, av1: &[u8], promised: Shape) -> io::Result<Result<Coded, RenderError>> {
        let ask = Ask::new(av1, promised)?;
        // What ended before it had read all may have said why.
        let sent = self.wire.write_all(&ask.to_bytes()).and_then(|()| self.wire.write_all(av1));
        let (shape, colour, worked) = match (self.reply(), sent) {
            (Ok(Reply::Picture { shape, colour, worked }), Ok(())) => (shape, colour, worked),
            (Ok(Reply::Failed(reason)), _) => return Ok(Err(RenderError::Damaged { reason })),
            (Ok(_), _) => return Err(io::Error::other("it does not answer what it was asked")),
            (Err(error), _) => return Err(error),
        };
        if shape != promised {
            let reason = format!("its AV1 has {shape}, and its header says {promised}");
            return Ok(Err(RenderError::Damaged { reason }));
        }
        let planes = (0..shape.sampling.planes()).map(|n| self.plane(shape, n)).collect::<io::Result<_>>()?;
        // It can only say less than the truth, and the kernel counts too.
        deadline::charge(worked.saturating_sub(self.charged));
        self.charged = self.charged.max(worked);
        let Shape { width, height, depth, sampling } = shape;
        Ok(self.deadline.check().map(|()| Coded { width, height, depth, sampling, colour, planes }))
    }

    fn reply(&mut self) -> io::Result<Reply> {
        Reply::read(&mut self.wire)
    }

    /// A plane of a shape that has been promised: what is not sent of it takes no memory for long.
    fn plane(&mut self, shape: Shape, n: usize) -> io::Result<Samples> {
        let (width, height) = shape.sampling.plane_size(n, (shape.width, shape.height));
        let samples = usize::try_from(u64::from(width) * u64::from(height)).map_err(io::Error::other)?;
        if shape.depth == 8 {
            let mut plane = vec![0; samples];
            self.wire.read_exact(&mut plane)?;
            return Ok(Samples::Eight(plane));
        }
        let mut plane = vec![0; samples];
        let mut bytes = vec![0; 2 * PIECE];
        let most = (1 << shape.depth) - 1;
        for piece in plane.chunks_mut(PIECE) {
            let bytes = &mut bytes[..2 * piece.len()];
            self.wire.read_exact(bytes)?;
            for (sample, bytes) in piece.iter_mut().zip(bytes.as_chunks().0) {
                // No sample is larger than its depth allows, whatever was sent.
                *sample = u16::from_ne_bytes(*bytes).min(most);
            }
        }
        Ok(Samples::More(plane))
    }

    /// Why there is no answer, or none that makes sense.
    fn failed(&mut self, error: &io::Error) -> RenderError {
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let status = self.end();
        let signal = status.and_then(|status| status.signal());
        if is_late || signal == Some(Signal::XCPU.as_raw()) {
            return self.deadline.error();
        }
        if signal == Some(Signal::SYS.as_raw()) {
            tracing::error!("a decoding process was killed for a system call that it may not make");
        }
        RenderError::Damaged { reason: format!("its decoder {}", describe(status)) }
    }

    /// Kills the process, if it still is, and takes notice of its end, so that nothing is left of it.
    fn end(&mut self) -> Option<ExitStatus> {
        // Of one that has ended already, the status stays what it was.
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        self.end();
    }
}

fn absent(reason: &(impl ToString + ?Sized)) -> RenderError {
    RenderError::NoDecoder { reason: reason.to_string() }
}

fn describe(status: Option<ExitStatus>) -> String {
    match status.map(|status| (status.signal(), status.code())) {
        Some((Some(signal), _)) if signal == Signal::KILL.as_raw() => "gave no answer that makes sense".to_owned(),
        Some((Some(signal), _)) => format!("ended by signal {signal}"),
        Some((_, Some(code))) => format!("ended with status {code}"),
        _ => "is gone".to_owned(),
    }
}

/// Samples of two bytes that are read at once.
const PIECE: usize = 1 << 16;

/// The longest that is waited, where no limit of processor time says so: longer ones are not a time that the kernel takes.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// The way to the process, on which nobody waits for longer than until its end.
#[derive(Debug)]
struct Wire {
    stream: UnixStream,
    end: Instant,
}

impl Wire {
    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
