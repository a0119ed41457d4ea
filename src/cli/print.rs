//! Prints the output of commands.
//!
//! `println!` panics if standard output is closed, as in `resized config | head -1`. Here a closed pipe ends the output,
//! but not the work of the command. Any other failure, such as a full disk, makes the command fail at its end.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The first failure to write to standard output.
static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// True once a command has printed something.
static HAS_OUTPUT: AtomicBool = AtomicBool::new(false);

/// Prints a line to standard output.
pub(super) fn line(text: impl Display) {
    text_to(io::stdout(), format_args!("{text}\n"));
}

/// Prints text to standard output.
pub(super) fn text(text: impl Display) {
    text_to(io::stdout(), format_args!("{text}"));
}

/// Prints a line to standard error. A failure is ignored, because it could be reported nowhere.
pub(super) fn error(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes what is still buffered. Without output this does not touch standard output, which the access log of a server may
/// block.
///
/// # Errors
/// A part of the output could not be written, for another reason than a closed pipe.
pub(super) fn finish() -> anyhow::Result<()> {
    if HAS_OUTPUT.load(Relaxed) {
        record(io::stdout().flush());
    }
    match FAILURE.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => anyhow::bail!("cannot write the output: {error}"),
        _ => Ok(()),
    }
}

fn text_to(mut out: impl Write, text: fmt::Arguments<'_>) {
    HAS_OUTPUT.store(true, Relaxed);
    if FAILURE.get().is_none() {
        record(out.write_fmt(text));
    }
}

fn record(result: io::Result<()>) {
    if let Err(error) = result {
        // Only the first failure is reported.
        let _ = FAILURE.set(error);
    }
}
