//! The command line: which command, with which settings.
//!
//! To add a command: a file below `cli/` with its arguments and a `run`, and a line in [`Command`]. Each command is made of
//! the library's parts; what it does is said there.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod args;
mod check;
mod completions;
mod config;
mod explain;
mod health;
mod outbox;
mod purge;
mod resize;
mod serve;
mod sign;
mod warm;

use args::settings::{Flags, Settings};

/// A caching image proxy in front of a bucket: any size by URL, each made once.
///
/// Ask for photos/cat_300x200.jpg, and photos/cat.jpg is made to fit 300x200, stored, and remembered.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  resized                                    serve ./samples on http://127.0.0.1:8080, or what config.toml says
  resized serve --config /etc/resized.toml   the same with other settings
  resized sign --expires-in 1h /cat_9x9.jpg  a URL that is good for an hour
  resized check --race                       does the bucket do what is needed? what is to be fixed?
  resized config                             every setting as it is, and where it was set
  resized explain /photos/cat_300x200.jpg    what this path means, and whether it is there
  resized resize --size 300x200 *.jpg small  the same pictures from local files into the folder small
  resized purge photos/cat.jpg               delete what was made of an original that was replaced
  resized warm --size 300x --listing          make that size of every original before anybody asks
  resized outbox redeliver --all             send once more what the API never took

Every setting can also come from the environment, which wins over the file: RESIZED_CACHE__MEMORY=1GiB sets memory in
[cache]. Flags win over both.

Exit status: 0 all is well; 1 something is wrong, and it was said what; 2 the command line is not understood.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve pictures until SIGTERM; what happens without a command
    Serve,
    Check(check::Arguments),
    Health(health::Arguments),
    Config(config::Arguments),
    Explain(explain::Arguments),
    Resize(resize::Arguments),
    Purge(purge::Arguments),
    Warm(warm::Arguments),
    Outbox(outbox::Arguments),
    Sign(sign::Arguments),
    Completions(completions::Completions),
    Man(completions::Man),
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// What is wrong, for whoever typed it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        #[cfg(feature = "avif-originals")]
        resized::resize::decoder::decode_by(resized::resize::decoder::this_program());
        let settings = || Settings::load(&self.flags);
        match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::run(&settings()?),
            Command::Check(arguments) => check::run(&arguments, &settings()?),
            Command::Health(arguments) => health::run(&arguments, &settings()?),
            Command::Config(arguments) => config::run(&arguments, settings),
            Command::Explain(arguments) => explain::run(&arguments, &settings()?),
            Command::Resize(arguments) => resize::run(arguments, settings()?),
            Command::Purge(arguments) => purge::run(&arguments, &settings()?),
            Command::Warm(arguments) => warm::run(arguments, settings()?),
            Command::Outbox(arguments) => outbox::run(arguments, &settings()?),
            Command::Sign(arguments) => sign::run(&arguments, &settings()?),
            // These need no settings, and are asked for where there may be none.
            Command::Completions(arguments) => completions::complete(&arguments),
            Command::Man(arguments) => completions::man(&arguments),
        }
    }
}
