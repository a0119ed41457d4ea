//! The program: one command line, one command.

use std::process::ExitCode;

use clap::Parser;

mod allocator;
mod cli;

fn main() -> anyhow::Result<ExitCode> {
    allocator::map_large_blocks();
    cli::Cli::parse().run()
}
