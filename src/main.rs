//! The program: one command line, one command; or the process that decodes for another one.

use std::process::ExitCode;

use clap::Parser;

mod allocator;
mod cli;

fn main() -> anyhow::Result<ExitCode> {
    allocator::map_large_blocks();
    // Not for anybody to type, so the command line knows nothing of it.
    #[cfg(feature = "avif-originals")]
    if let Some(allowance) = resized::resize::decoder::Allowance::of_arguments(std::env::args_os().skip(1)) {
        return Ok(resized::resize::decoder::run(allowance));
    }
    cli::Cli::parse().run()
}
