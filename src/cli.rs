//! The command line: which command, with which settings.
//!
//! To add a command: a file below `cli/` with its arguments and a `run`, and a line in [`Command`]. Each command is made of
//! the library's parts; what it does is said there.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use resized::config::Config;

mod check;
mod outbox;
mod serve;

/// A caching image proxy in front of a bucket: any size by URL, each made once.
///
/// Ask for photos/cat_300x200.jpg, and photos/cat.jpg is made to fit 300x200, stored, and remembered.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    /// Settings; without it, config.toml in the working directory if there is one, else the defaults
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    serve: serve::Arguments,
    #[command(subcommand)]
    command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  resized                                    serve ./samples on http://127.0.0.1:8080, or what config.toml says
  resized serve --config /etc/resized.toml   the same with other settings
  resized outbox redeliver --all             send once more what the API never took
  resized check --race                       does the bucket do what is needed? what is to be fixed?

Every setting can also come from the environment, which wins: RESIZED_CACHE__MEMORY=1GiB sets memory in [cache].

Exit status: 0 all is well; 1 something is wrong, and it was said what; 2 the command line is not understood.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve pictures until SIGTERM; what happens without a command
    Serve(serve::Arguments),
    Check(check::Arguments),
    Outbox(outbox::Arguments),
}

impl Cli {
    /// Does what was asked for.
    ///
    /// # Errors
    /// What is wrong, for whoever typed it.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let settings = Settings::load(self.config)?;
        match self.command {
            None => serve::run(self.serve, settings.config),
            Some(Command::Serve(arguments)) => serve::run(arguments.or(self.serve), settings.config),
            Some(Command::Check(arguments)) => check::run(&arguments, &settings),
            Some(Command::Outbox(arguments)) => outbox::run(arguments, &settings),
        }
    }
}

/// What was configured, and where.
struct Settings {
    config: Config,
    /// `None` if there is no file, and all is by default or from the environment.
    file: Option<PathBuf>,
}

impl Settings {
    fn load(file: Option<PathBuf>) -> anyhow::Result<Self> {
        let beside = PathBuf::from("config.toml");
        let file = file.or_else(|| beside.exists().then_some(beside));
        Ok(Self { config: Config::load(file.as_deref())?, file })
    }
}
