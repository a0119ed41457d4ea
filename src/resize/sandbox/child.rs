//! The child process: confines itself, then decodes one picture after the other until its input ends.

use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use pixels::av1;
use rustix::time::{ClockId, clock_gettime};

use super::confine::confine;
use super::limits::SandboxLimits;
use super::message::{DecodeRequest, Reply};

/// Decodes requests from standard input until it ends. Must be called before any other thread is started.
#[must_use]
pub fn run(limits: SandboxLimits) -> ExitCode {
    // The default panic hook opens files to print a backtrace, which the confinement forbids.
    panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) =
        (RawStdio(io::stdin()), BufWriter::with_capacity(OUTPUT_BYTES, RawStdio(io::stdout())));
    if let Err(error) = confine(limits) {
        let _ = output.write_all(&Reply::Unconfined(error.to_string()).to_bytes()).and_then(|()| output.flush());
        return ExitCode::FAILURE;
    }
    match serve(&mut input, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        // The parent has ended, or it detects that the reply is missing.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    output.write_all(&Reply::Ready.to_bytes())?;
    output.flush()?;
    while let Some(request) = DecodeRequest::read(input)? {
        let mut bytes = vec![0; usize::try_from(request.bytes).map_err(io::Error::other)?];
        input.read_exact(&mut bytes)?;
        match av1::decode(&bytes, request.pixels_max) {
            Ok(picture) => {
                drop(bytes);
                let (shape, cicp) = (picture.shape(), picture.cicp());
                output.write_all(&Reply::Picture { shape, cicp, cpu_time: cpu_time() }.to_bytes())?;
                for n in 0..shape.sampling.planes() {
                    picture.rows(n).try_for_each(|row| output.write_all(row))?;
                }
            }
            Err(error) => output.write_all(&Reply::Failed(error.to_string()).to_bytes())?,
        }
        output.flush()?;
    }
    Ok(())
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
