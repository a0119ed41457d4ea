//! The sandboxed decoders and the encoders of AV1 and JPEG XL: a child process that implements [`pixels::Sandbox`].
//!
//! Some decoders are not memory-safe, do not limit their memory, or cannot be stopped, and neither can these encoders.
//! They run in a child process, which executes this program again and is started for each original, and for each JPEG XL
//! and each large AVIF variant. The server reads the header of an original itself, so the process gets a request with the format, the
//! size and the samples of the image, and enforces the memory and the CPU time that the server has charged. The child
//! confines itself before it reads any data (`confine.rs`), so an abort, a crash or an endless loop affects only one
//! image. A child that only encodes reads no untrusted bytes, so it also works where the system cannot confine it. The
//! parent does not trust the replies: it compares the shape with the request and limits the length of the profile before
//! it allocates memory, and replaces unprintable characters in texts.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::slice;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use pixels::{
    Av1Frame, Cicp, DecodeRequest, DeepPixelImage, ImageShape, JxlPicture, PixelImage, Sandbox, SandboxError,
    SandboxFrame, SandboxImage, SandboxOutput, SandboxTask, SandboxWorker, YuvImage, YuvShape,
};
use rustix::process::Signal;

mod child;
mod confine;
mod limits;
mod message;
mod planes;
pub(super) mod yielding;

#[cfg(test)]
mod tests;

pub use child::run;
pub use limits::SandboxLimits;

use message::{Reply, Request};
use planes::{read_planes, read_words, write_planes};
use yielding::{Yielding, YieldingProcess};

/// The program to start, see [`set_program`].
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Sets the program to start. It must call [`run`] if its arguments are [`SandboxLimits`]. Without this call, which
/// test programs do not make, no process can be started. Only the first call has an effect.
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

/// Starts a process and ends it, to check that originals can be decoded in it on this machine.
///
/// # Errors
/// The process could not be started or confined.
pub fn check() -> Result<(), SandboxError> {
    ProcessSandbox.start(SandboxTask::Decode, 0, CHECK_CPU_TIME).map(drop)
}

/// CPU time of a process that is started as a check.
const CHECK_CPU_TIME: Duration = Duration::from_secs(10);

/// Time that a process may take in addition to its CPU time. It runs at the lowest priority, so on a busy machine a second of CPU time can take many seconds, but a process that never ends must not occupy a resize thread.
const MAX_DELAY: Duration = Duration::from_secs(30);
/// Factor by which the elapsed time may exceed the CPU time, in addition to [`MAX_DELAY`].
const ELAPSED_PER_CPU_TIME: u32 = 4;
/// Upper bound of the elapsed time if the CPU time is unlimited. The kernel refuses longer socket timeouts.
const ELAPSED_MAX: Duration = Duration::from_secs(24 * 3600);

/// Starts one child process per original or variant.
#[derive(Debug, Clone, Copy)]
pub struct ProcessSandbox;

impl Sandbox for ProcessSandbox {
    fn start(
        &self,
        task: SandboxTask,
        memory_bytes: u64,
        cpu_time: Duration,
    ) -> Result<Box<dyn SandboxWorker>, SandboxError> {
        let program = PROGRAM.get().ok_or_else(|| unavailable("no program is set for it"))?;
        Ok(Box::new(SandboxProcess::start(program, task, memory_bytes, cpu_time, MAX_DELAY)?))
    }
}

/// Like [`ProcessSandbox`], for jobs that no client waits for.
#[derive(Debug, Clone)]
pub(super) struct YieldingSandbox(pub(super) Arc<Yielding>);

impl Sandbox for YieldingSandbox {
    fn start(
        &self,
        task: SandboxTask,
        memory_bytes: u64,
        cpu_time: Duration,
    ) -> Result<Box<dyn SandboxWorker>, SandboxError> {
        let program = PROGRAM.get().ok_or_else(|| unavailable("no program is set for it"))?;
        let mut process = SandboxProcess::start(program, task, memory_bytes, cpu_time, MAX_DELAY)?;
        process.yielding = self.0.add(process.child.id());
        Ok(Box::new(process))
    }
}

/// A running child process. It is killed when this is dropped.
#[derive(Debug)]
struct SandboxProcess {
    child: Child,
    /// `None` if a client waits for it.
    yielding: Option<YieldingProcess>,
    socket: DeadlineSocket,
    /// The shape of the frames of an animation that was started.
    frame_shape: Option<ImageShape>,
}

impl SandboxProcess {
    fn start(
        program: &Path,
        task: SandboxTask,
        memory: u64,
        cpu_time: Duration,
        max_delay: Duration,
    ) -> Result<Self, SandboxError> {
        let seconds = cpu_time.as_secs().saturating_add(u64::from(cpu_time.subsec_nanos() > 0));
        let limits = SandboxLimits { memory, seconds, task };
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
        let socket = DeadlineSocket { stream: ours, end: Instant::now() + elapsed_max };
        let mut process = Self { child, yielding: None, socket, frame_shape: None };
        match process.read_reply() {
            Ok(Reply::Ready) => Ok(process),
            Ok(Reply::Unconfined(_)) if task == SandboxTask::Encode => Ok(process),
            Ok(Reply::Unconfined(reason)) => Err(SandboxError::Unconfined { reason }),
            Ok(_) => Err(unavailable("it sent an unexpected reply instead of being ready")),
            Err(error) => Err(unavailable(&format!("{error}; {}", describe(process.end())))),
        }
    }

    /// Sends a request with its payload, and reads the head of the reply.
    fn request(
        &mut self,
        request: Request,
        write_payload: impl FnOnce(&mut DeadlineSocket) -> io::Result<()>,
    ) -> io::Result<Reply> {
        let sent = self.socket.write_all(&request.to_bytes()).and_then(|()| write_payload(&mut self.socket));
        // If the child ended before it read the whole request, its reply may contain the reason.
        match (self.read_reply(), sent) {
            (reply @ (Ok(Reply::Failed(_)) | Err(_)), _) | (reply, Ok(())) => reply,
            (Ok(_), Err(error)) => Err(error),
        }
    }

    /// Requests an image or a frame of this shape. `None` at the end of an animation.
    fn try_frame(
        &mut self,
        request: Request,
        bytes: &[u8],
        expected: ImageShape,
    ) -> io::Result<Result<SandboxOutput<Option<SandboxFrame>>, SandboxError>> {
        match self.request(request, |socket| socket.write_all(bytes))? {
            Reply::Image { shape, .. } if shape != expected => {
                Err(io::Error::other("it sent an image of another shape"))
            }
            Reply::Image { cicp, profile_bytes, cpu_time, duration_micros, .. } => {
                let image = self.read_image(expected, cicp, profile_bytes)?;
                let duration = Duration::from_micros(duration_micros.into());
                Ok(Ok(SandboxOutput { value: Some(SandboxFrame { image, duration }), cpu_time }))
            }
            Reply::End { cpu_time } => Ok(Ok(SandboxOutput { value: None, cpu_time })),
            Reply::Failed(reason) => Ok(Err(SandboxError::Failed { reason })),
            Reply::Ready | Reply::Unconfined(_) | Reply::Encoded { .. } => Err(unexpected_reply()),
        }
    }

    fn try_decode(
        &mut self,
        request: &DecodeRequest<'_>,
    ) -> io::Result<Result<SandboxOutput<SandboxImage>, SandboxError>> {
        match self.try_frame(Request::decode(request)?, request.bytes, request.shape)? {
            Ok(SandboxOutput { value: Some(frame), cpu_time }) => {
                Ok(Ok(SandboxOutput { value: frame.image, cpu_time }))
            }
            Ok(SandboxOutput { value: None, .. }) => Err(unexpected_reply()),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Reads the profile and the samples of an image, whose shape was requested.
    fn read_image(&mut self, shape: ImageShape, cicp: Cicp, profile_bytes: u32) -> io::Result<SandboxImage> {
        let profile = self.read_bytes(u64::from(profile_bytes))?;
        Ok(match shape {
            ImageShape::Yuv(shape) => {
                let planes = read_planes(&mut self.socket, shape)?;
                let YuvShape { width, height, depth, sampling } = shape;
                SandboxImage::Yuv(YuvImage { width, height, depth, sampling, cicp, planes })
            }
            ImageShape::Pixels(shape) => {
                let samples = u64::from(shape.width) * u64::from(shape.height) * u64::from(shape.layout.channels());
                let profile = Some(profile).filter(|profile| !profile.is_empty());
                SandboxImage::Pixels(PixelImage { shape, profile, data: self.read_bytes(samples)? })
            }
            ImageShape::DeepPixels(shape) => {
                let samples = u64::from(shape.width) * u64::from(shape.height) * u64::from(shape.layout.channels());
                let samples = usize::try_from(samples).map_err(io::Error::other)?;
                let profile = Some(profile).filter(|profile| !profile.is_empty());
                let data = read_words(&mut self.socket, samples, u16::MAX)?;
                SandboxImage::DeepPixels(DeepPixelImage { shape, profile, data })
            }
        })
    }

    fn try_encode(&mut self, frame: &Av1Frame) -> io::Result<Result<SandboxOutput<Vec<u8>>, SandboxError>> {
        let samples: u64 = frame.planes.iter().map(|plane| plane.len() as u64).sum();
        let write_frame = |socket: &mut DeadlineSocket| write_planes(socket, &frame.planes);
        self.request_bytes(Request::encode(frame), write_frame, 2 * samples + ENCODED_BYTES_MIN)
    }

    fn try_encode_jxl(&mut self, picture: &JxlPicture) -> io::Result<Result<SandboxOutput<Vec<u8>>, SandboxError>> {
        let write_samples = |socket: &mut DeadlineSocket| write_planes(socket, slice::from_ref(&picture.samples));
        let bytes_max = 4 * picture.samples.len() as u64 + ENCODED_BYTES_MIN;
        self.request_bytes(Request::encode_jxl(picture), write_samples, bytes_max)
    }

    fn try_sanitize(&mut self, svg: &[u8]) -> io::Result<Result<SandboxOutput<Vec<u8>>, SandboxError>> {
        let bytes_max = pixels::sanitized_bytes_max(svg.len()) as u64;
        self.request_bytes(Request::sanitize(svg)?, |socket| socket.write_all(svg), bytes_max)
    }

    /// Sends a request whose reply is at most `bytes_max` long.
    fn request_bytes(
        &mut self,
        request: Request,
        write_payload: impl FnOnce(&mut DeadlineSocket) -> io::Result<()>,
        bytes_max: u64,
    ) -> io::Result<Result<SandboxOutput<Vec<u8>>, SandboxError>> {
        let (length, cpu_time) = match self.request(request, write_payload)? {
            Reply::Encoded { bytes, cpu_time } => (u64::from(bytes), cpu_time),
            Reply::Failed(reason) => return Ok(Err(SandboxError::Failed { reason })),
            Reply::Ready | Reply::Unconfined(_) | Reply::Image { .. } | Reply::End { .. } => {
                return Err(unexpected_reply());
            }
        };
        if length > bytes_max {
            return Err(io::Error::other("it sent a reply of an impossible length"));
        }
        Ok(Ok(SandboxOutput { value: self.read_bytes(length)?, cpu_time }))
    }

    fn read_reply(&mut self) -> io::Result<Reply> {
        Reply::read(&mut self.socket)
    }

    /// Reads that many bytes, which the caller has limited.
    fn read_bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.socket.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The error for a missing or invalid reply.
    fn failure(&mut self, task: SandboxTask, error: &io::Error) -> SandboxError {
        let is_late = matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut);
        let status = self.end();
        let signal = status.and_then(|status| status.signal());
        if is_late || signal == Some(Signal::XCPU.as_raw()) {
            return SandboxError::TimedOut;
        }
        // Rust aborts when an allocation fails. Decoders also abort for damaged data.
        if task == SandboxTask::Encode && signal == Some(Signal::ABORT.as_raw()) {
            return SandboxError::OutOfMemory;
        }
        if signal == Some(Signal::SYS.as_raw()) {
            tracing::error!("sandbox process killed for a forbidden system call");
        }
        SandboxError::Failed { reason: format!("its process {}", describe(status)) }
    }

    /// Kills the process unless it has ended, and reaps it.
    fn end(&mut self) -> Option<ExitStatus> {
        self.yielding = None;
        // Killing a process that has ended does not change its status.
        let _ = self.child.kill();
        self.child.wait().ok()
    }
}

impl SandboxWorker for SandboxProcess {
    fn decode(&mut self, request: &DecodeRequest<'_>) -> Result<SandboxOutput<SandboxImage>, SandboxError> {
        match self.try_decode(request) {
            Ok(result) => result,
            Err(error) => Err(self.failure(SandboxTask::Decode, &error)),
        }
    }

    fn sanitize(&mut self, svg: &[u8]) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        match self.try_sanitize(svg) {
            Ok(result) => result,
            Err(error) => Err(self.failure(SandboxTask::Decode, &error)),
        }
    }

    fn start_animation(
        &mut self,
        request: &DecodeRequest<'_>,
    ) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError> {
        self.frame_shape = Some(request.shape);
        let result = Request::animate(request).and_then(|head| self.try_frame(head, request.bytes, request.shape));
        result.unwrap_or_else(|error| Err(self.failure(SandboxTask::Decode, &error)))
    }

    fn next_frame(&mut self) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError> {
        let Some(shape) = self.frame_shape else {
            return Err(SandboxError::Failed { reason: "no animation was started".to_owned() });
        };
        let result = self.try_frame(Request::NextFrame, &[], shape);
        result.unwrap_or_else(|error| Err(self.failure(SandboxTask::Decode, &error)))
    }

    fn encode(&mut self, frame: &Av1Frame) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        match self.try_encode(frame) {
            Ok(result) => result,
            Err(error) => Err(self.failure(SandboxTask::Encode, &error)),
        }
    }

    fn encode_jxl(&mut self, picture: &JxlPicture) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        match self.try_encode_jxl(picture) {
            Ok(result) => result,
            Err(error) => Err(self.failure(SandboxTask::Encode, &error)),
        }
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        self.end();
    }
}

/// Encoded data may be longer than the samples by this much.
const ENCODED_BYTES_MIN: u64 = 1 << 16;

fn unexpected_reply() -> io::Error {
    io::Error::other("it sent an unexpected reply")
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
