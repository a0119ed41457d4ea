//! The command line program: parses the arguments and runs one command, or decodes and encodes AV1 in a sandboxed child
//! process.

use std::process::ExitCode;

use clap::Parser;

mod allocator;
mod cli;

fn main() -> ExitCode {
    allocator::map_large_blocks();
    // Only the program itself starts the sandboxed process, so clap does not know its arguments.
    #[cfg(feature = "sandbox")]
    if let Some(limits) = resized::resize::sandbox::SandboxLimits::from_arguments(std::env::args_os().skip(1)) {
        return resized::resize::sandbox::run(limits);
    }
    cli::Cli::parse().run_and_report()
}
