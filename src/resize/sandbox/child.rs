//! The child process: confines itself, then decodes or encodes one picture after the other until its input ends.

use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use pixels::decoders::{self, DecodedImage};
use pixels::{Av1Frame, DecodeRequest, JxlPicture, SandboxTask};
use rustix::time::{ClockId, clock_gettime};

use super::confine::confine;
use super::limits::SandboxLimits;
use super::message::{Reply, Request};
use super::planes::{read_planes, read_samples};

/// Fulfills requests from standard input until it ends. Must be called before any other thread is started.
#[must_use]
pub fn run(limits: SandboxLimits) -> ExitCode {
    // The default panic hook opens files to print a backtrace, which the confinement forbids.
    panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) =
        (RawStdio(io::stdin()), BufWriter::with_capacity(OUTPUT_BYTES, RawStdio(io::stdout())));
    let confined = confine(limits);
    match serve(&mut input, &mut output, limits.task, confined) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent has ended, or it detects that the reply is missing.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Replies to requests. A process that is not confined, or confined for encoding only, reads no untrusted bytes.
fn serve(
    input: &mut impl Read,
    output: &mut impl Write,
    task: SandboxTask,
    confined: io::Result<()>,
) -> io::Result<()> {
    let is_confined = confined.is_ok() && task == SandboxTask::Decode;
    let ready = confined.map_or_else(|error| Reply::Unconfined(error.to_string()), |()| Reply::Ready);
    output.write_all(&ready.to_bytes())?;
    output.flush()?;
    while let Some(request) = Request::read(input)? {
        match request {
            Request::Decode { format, shape, bytes } => {
                let data = read_bytes(input, bytes)?;
                match is_confined {
                    true => decode(&DecodeRequest { format, bytes: &data, shape }, output)?,
                    false => fail(UNCONFINED, output)?,
                }
            }
            Request::Animate { format, shape, bytes } => {
                let data = read_bytes(input, bytes)?;
                match is_confined {
                    true => animate(&DecodeRequest { format, bytes: &data, shape }, input, output)?,
                    false => fail(UNCONFINED, output)?,
                }
            }
            Request::NextFrame => fail("no animation was started", output)?,
            Request::Sanitize { bytes } => {
                let svg = read_bytes(input, bytes)?;
                match is_confined {
                    true => reply_with_bytes(decoders::sanitize_svg(&svg), output)?,
                    false => fail(UNCONFINED, output)?,
                }
            }
            Request::Encode { shape, quantizer } => {
                encode(&Av1Frame { shape, planes: read_planes(input, shape)?, quantizer }, output)?;
            }
            Request::EncodeJxl { shape, depth, colors, coding } => {
                let samples = read_samples(input, shape, depth)?;
                encode_jxl(&JxlPicture { shape, samples, colors, coding }, output)?;
            }
        }
        output.flush()?;
    }
    Ok(())
}

/// The reason why a process reads no untrusted bytes.
const UNCONFINED: &str = "this process is not confined";

/// Reads the payload of a request.
fn read_bytes(input: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn decode(request: &DecodeRequest<'_>, output: &mut impl Write) -> io::Result<()> {
    match decoders::decode(request) {
        Ok(image) => send(&image, Duration::ZERO, output),
        Err(reason) => fail(&reason, output),
    }
}

/// Decodes an animation, a frame for each request, until the input ends.
fn animate(request: &DecodeRequest<'_>, input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let mut frames = match decoders::decode_animation(request) {
        Ok(frames) => frames,
        Err(reason) => return fail(&reason, output),
    };
    loop {
        match frames.next_frame() {
            Ok(Some((image, duration))) => send(&image, duration, output)?,
            Ok(None) => output.write_all(&Reply::End { cpu_time: cpu_time() }.to_bytes())?,
            Err(reason) => fail(&reason, output)?,
        }
        output.flush()?;
        match Request::read(input)? {
            Some(Request::NextFrame) => {}
            None => return Ok(()),
            Some(_) => return Err(io::Error::other("a request within an animation")),
        }
    }
}

/// Sends an image that is shown for `duration`.
fn send(image: &DecodedImage, duration: Duration, output: &mut impl Write) -> io::Result<()> {
    let profile = image.profile().unwrap_or_default();
    let Ok(profile_bytes) = u32::try_from(profile.len()) else { return fail("its profile is too long", output) };
    let (shape, cicp) = (image.shape(), image.cicp());
    let duration_micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    output.write_all(&Reply::Image { shape, cicp, profile_bytes, cpu_time: cpu_time(), duration_micros }.to_bytes())?;
    output.write_all(profile)?;
    image.write_samples(|samples| output.write_all(samples))
}

#[cfg(feature = "avif")]
fn encode(frame: &Av1Frame, output: &mut impl Write) -> io::Result<()> {
    reply_with_bytes(pixels::encode_av1(frame).map_err(|error| error.to_string()), output)
}

fn reply_with_bytes(made: Result<Vec<u8>, String>, output: &mut impl Write) -> io::Result<()> {
    let length = |bytes: Vec<u8>| u32::try_from(bytes.len()).map(|n| (n, bytes)).map_err(|error| error.to_string());
    match made.and_then(length) {
        Ok((length, bytes)) => {
            output.write_all(&Reply::Encoded { bytes: length, cpu_time: cpu_time() }.to_bytes())?;
            output.write_all(&bytes)
        }
        Err(reason) => fail(&reason, output),
    }
}

#[cfg(not(feature = "avif"))]
fn encode(_frame: &Av1Frame, output: &mut impl Write) -> io::Result<()> {
    fail("built without the feature avif", output)
}

#[cfg(feature = "jxl-variants")]
fn encode_jxl(picture: &JxlPicture, output: &mut impl Write) -> io::Result<()> {
    reply_with_bytes(pixels::encode_jxl(picture).map_err(|error| error.to_string()), output)
}

#[cfg(not(feature = "jxl-variants"))]
fn encode_jxl(_picture: &JxlPicture, output: &mut impl Write) -> io::Result<()> {
    fail("built without the feature jxl-variants", output)
}

fn fail(reason: &str, output: &mut impl Write) -> io::Result<()> {
    output.write_all(&Reply::Failed(reason.to_owned()).to_bytes())
}

/// Size of the output buffer, which counts against the address space limit.
const OUTPUT_BYTES: usize = 1 << 18;

/// Unbuffered standard input or output. The standard library would scan the output for line ends.
struct RawStdio<F>(F);

impl<F: AsFd> Read for RawStdio<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

impl<F: AsFd> Write for RawStdio<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
