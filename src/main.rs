//! The program: one command line, one command.

use std::process::ExitCode;

use clap::Parser;

mod cli;

/// It gives the memory of finished work back, where glibc's keeps growing, and is a little faster.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    cli::Cli::parse().run()
}
