//! `resized outbox`: lists and redelivers dead letters.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use resized::app::{Stores, open_notifier};
use resized::observability::metrics::Metrics;
use resized::outbox::{Notifier, Redelivery};
use resized::support::tasks::Tasks;
use tokio::runtime::Runtime;

use super::{Settings, print};

/// List dead letters, or redeliver them
///
/// A dead letter is a notification that the API has not accepted after the last of notify.retries. Without a subcommand this
/// prints the ids of up to 1000 dead letters, one per line, and on standard error the keys of entries that cannot be read.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Redeliver dead letters with all of their retries; the serving nodes send them
    ///
    /// Exit status 1 if one of the ids is not a dead letter.
    Redeliver(Redeliver),
}

#[derive(Debug, Args)]
struct Redeliver {
    /// Ids as listed by `resized outbox`
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// Redeliver all listed dead letters
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

pub(super) fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let (config, metrics) = (&settings.config, Metrics::new());
        let stores = Stores::open(config, &metrics).await?;
        let tasks = Tasks::new(runtime.handle().clone());
        let notifier = open_notifier(config, &stores, &metrics, &tasks).await?;
        let notifier = notifier.context("notifications are disabled: notify.url is not set")?;
        match arguments.command {
            None => list(&notifier).await,
            Some(Command::Redeliver(selection)) => redeliver(&notifier, selection).await,
        }
    })
}

async fn list(notifier: &Notifier) -> anyhow::Result<ExitCode> {
    for id in notifier.dead_letters().await.context("cannot read the outbox")? {
        print::line(id);
    }
    for key in notifier.unreadable().await.context("cannot read the outbox")? {
        print::error(format_args!("{key} cannot be read and is skipped: repair or delete this object"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn redeliver(notifier: &Notifier, selection: Redeliver) -> anyhow::Result<ExitCode> {
    let ids =
        if selection.all { notifier.dead_letters().await.context("cannot read the outbox")? } else { selection.ids };
    let mut exit_code = ExitCode::SUCCESS;
    for id in ids {
        let problem = match notifier.redeliver(&id).await.with_context(|| format!("cannot redeliver {id}"))? {
            Redelivery::Queued => {
                print::line(format_args!("{id} will be redelivered"));
                continue;
            }
            Redelivery::NotFound => "is not a dead letter",
            Redelivery::Unreadable => "cannot be read",
        };
        print::line(format_args!("{id} {problem}"));
        exit_code = ExitCode::FAILURE;
    }
    Ok(exit_code)
}
