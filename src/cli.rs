//! The command line: parses the arguments and runs one command.
//!
//! Each command is a file in `cli/` with its `Arguments` and a `run` function, and a variant of [`Command`].

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use resized::support::url_secrets::mask_text;

mod args;
mod check;
mod completions;
mod config;
mod explain;
mod health;
mod outbox;
mod print;
mod purge;
mod resize;
mod serve;
mod sign;
mod warm;

use args::settings::{Flags, Settings};

/// A caching image proxy in front of an object store: request any size by URL.
///
/// A request for photos/cat_300x200.jpg resizes photos/cat.jpg to fit 300x200, stores the result and caches it.
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
  resized                                    serve ./samples on http://127.0.0.1:8080, or as config.toml says
  resized serve --config /etc/resized.toml   serve with the settings of another file
  resized sign --expires-in 1h /cat_9x9.jpg  sign a URL that is valid for an hour
  resized check --race                       test the settings and the stores, and suggest fixes
  resized config                             print all settings and their sources
  resized explain /photos/cat_300x200.jpg    explain a path and look up its original and variant
  resized resize --size 300x200 *.jpg small  resize local files into the folder small
  resized purge photos/cat.jpg               delete the variants of a replaced original
  resized warm --size 300x --listing          make one size of every original in advance
  resized outbox redeliver --all             send all undelivered notifications again

Every setting can also be set by an environment variable, which overrides the file: RESIZED_CACHE__MEMORY=1GiB sets memory
in [cache]. Flags override both.

Exit status: 0 success; 1 failure, with a message; 2 invalid command line.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve pictures until SIGTERM (the default command)
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
    /// Runs the command and prints its error, without the secrets in URLs.
    pub fn run_and_report(self) -> ExitCode {
        self.run().unwrap_or_else(|error| {
            print::error(mask_text(&format!("Error: {error:?}")));
            ExitCode::FAILURE
        })
    }

    /// Runs the command.
    ///
    /// # Errors
    /// The command failed. The message is for the user.
    fn run(self) -> anyhow::Result<ExitCode> {
        #[cfg(feature = "sandbox")]
        resized::resize::sandbox::set_program(resized::resize::sandbox::current_program());
        let settings = || Settings::load(&self.flags);
        let exit_code = match self.command.unwrap_or(Command::Serve) {
            Command::Serve => serve::run(settings()?),
            Command::Check(arguments) => check::run(&arguments, &settings()?),
            Command::Health(arguments) => health::run(&arguments, &settings()?),
            Command::Config(arguments) => config::run(&arguments, settings),
            Command::Explain(arguments) => explain::run(&arguments, &settings()?),
            Command::Resize(arguments) => resize::run(arguments, settings()?),
            Command::Purge(arguments) => purge::run(&arguments, &settings()?),
            Command::Warm(arguments) => warm::run(arguments, settings()?),
            Command::Outbox(arguments) => outbox::run(arguments, &settings()?),
            Command::Sign(arguments) => sign::run(&arguments, &settings()?),
            // These commands load no settings, so that packaging scripts can run them.
            Command::Completions(arguments) => completions::complete(&arguments),
            Command::Man(arguments) => completions::man(&arguments),
        }?;
        print::finish()?;
        Ok(exit_code)
    }
}
