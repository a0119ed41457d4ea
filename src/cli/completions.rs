//! `resized completions` and `resized man`: shell completions and man pages, generated from the command line definition.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, print};

/// Print a shell completion script
///
/// bash: resized completions bash > ~/.local/share/bash-completion/completions/resized
/// zsh:  resized completions zsh > a folder of $fpath, as _resized
/// fish: resized completions fish > ~/.config/fish/completions/resized.fish
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Completions {
    shell: Shell,
}

/// Print the man page, or write the pages of all commands
///
/// To read it: resized man | man -l -
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Folder for resized.1, resized-serve.1 and so on, such as /usr/local/share/man/man1; created if necessary
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(super) fn complete(arguments: &Completions) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "resized", &mut text);
    print::text(String::from_utf8_lossy(&text));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(arguments: &Man) -> anyhow::Result<ExitCode> {
    let Some(folder) = &arguments.folder else {
        let mut text = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut text)?;
        print::text(String::from_utf8_lossy(&text));
        return Ok(ExitCode::SUCCESS);
    };
    let context = || format!("cannot write the man pages to {}", folder.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(context)?;
    Ok(ExitCode::SUCCESS)
}
