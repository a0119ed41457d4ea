//! The inside of the decoding process: confined first, then one picture after the other until nobody asks.

use std::ffi::OsString;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::confine::confine;
use super::message::{Ask, Reply};
use super::{COMMAND, av1};

/// What the process may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Bytes of address space beyond what the program takes before it decodes.
    pub memory: u64,
    /// Seconds of processor time.
    pub seconds: u64,
}

impl Allowance {
    /// As a command line.
    pub(super) fn arguments(self) -> [String; 3] {
        [COMMAND.to_owned(), self.memory.to_string(), self.seconds.to_string()]
    }

    /// What a command line says, without the program's name, if it has this program decode.
    pub fn of_arguments(mut arguments: impl Iterator<Item = OsString>) -> Option<Self> {
        let is_command = arguments.next()? == COMMAND;
        let mut number = || arguments.next()?.to_str()?.parse().ok();
        let allowance = Self { memory: number()?, seconds: number()? };
        (is_command && arguments.next().is_none()).then_some(allowance)
    }
}

/// Decodes what comes on standard input until it ends. To be called before any other thread is started.
#[must_use]
pub fn run(allowance: Allowance) -> ExitCode {
    // The standard one opens files to say where it was.
    panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) =
        (Standard(io::stdin()), BufWriter::with_capacity(OUTPUT_BYTES, Standard(io::stdout())));
    if let Err(error) = confine(allowance) {
        let _ = output.write_all(&Reply::Unconfined(error.to_string()).to_bytes()).and_then(|()| output.flush());
        return ExitCode::FAILURE;
    }
    match serve(&mut input, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever asked is gone, or will find out by the silence.
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    output.write_all(&Reply::Ready.to_bytes())?;
    output.flush()?;
    while let Some(ask) = Ask::read(input)? {
        let mut av1 = vec![0; usize::try_from(ask.bytes).map_err(io::Error::other)?];
        input.read_exact(&mut av1)?;
        match av1::decode(&av1, ask.pixels_max) {
            Ok(picture) => {
                drop(av1);
                let (shape, colour) = (picture.shape(), picture.colour());
                output.write_all(&Reply::Picture { shape, colour, worked: worked() }.to_bytes())?;
                for n in 0..shape.sampling.planes() {
                    picture.rows(n).try_for_each(|row| output.write_all(row))?;
                }
            }
            Err(reason) => output.write_all(&Reply::Failed(reason).to_bytes())?,
        }
        output.flush()?;
    }
    Ok(())
}

/// Rows that are sent at once, and what the address space has for them.
const OUTPUT_BYTES: usize = 1 << 18;

/// Standard input or output as the kernel has it: the standard library looks for lines in what is written.
struct Standard<F>(F);

impl<F: AsFd> Read for Standard<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(&self.0, buffer)?)
    }
}

impl<F: AsFd> Write for Standard<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The processor time of this process.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}
