//! The program: one command line, one command; or the process that decodes for another one.

use std::process::ExitCode;

use clap::Parser;

mod allocator;
mod cli;

fn main() -> anyhow::Result<ExitCode> {
    allocator::map_large_blocks();
    // Not for anybody to type, so the command line knows nothing of it.
    #[cfg(feature = "avif-originals")]
    if let Some(limits) = resized::resize::sandbox::SandboxLimits::from_arguments(std::env::args_os().skip(1)) {
        return Ok(resized::resize::sandbox::run(limits));
    }
    cli::Cli::parse().run()
}
