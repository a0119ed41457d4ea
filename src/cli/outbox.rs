//! `resized outbox`: what the API never took.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, Subcommand};
use resized::observability::metrics::Metrics;
use resized::outbox::Notifier;
use resized::proxy::Proxy;
use resized::support::tasks::Tasks;
use tokio::runtime::Runtime;

use super::Settings;

/// List dead letters, or make them due again
///
/// A notification that the API has not taken after the last of notify.retries is a dead letter. Without a command this lists
/// the ids of up to 1000 of them, one a line.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make dead letters due again, with all their tries; the nodes that serve send them
    ///
    /// Exit status 1 if one of them is no dead letter.
    Redeliver(Redeliver),
}

#[derive(Debug, Args)]
struct Redeliver {
    /// As `resized outbox` lists them
    #[arg(value_name = "ID", required_unless_present = "all")]
    ids: Vec<String>,
    /// All that are listed
    #[arg(long, conflicts_with = "ids")]
    all: bool,
}

pub(super) fn run(arguments: Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let tasks = Tasks::new(runtime.handle().clone());
        let proxy = Proxy::open(&settings.config, tasks, Arc::new(Metrics::new())).await?;
        let notifier = proxy.notifier().context("there is no outbox: notify.url is not set")?;
        match arguments.command {
            None => list(notifier).await,
            Some(Command::Redeliver(which)) => redeliver(notifier, which).await,
        }
    })
}

async fn list(notifier: &Notifier) -> anyhow::Result<ExitCode> {
    for id in notifier.dead_letters().await.context("the outbox cannot be read")? {
        println!("{id}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn redeliver(notifier: &Notifier, which: Redeliver) -> anyhow::Result<ExitCode> {
    let ids = if which.all { notifier.dead_letters().await.context("the outbox cannot be read")? } else { which.ids };
    let mut end = ExitCode::SUCCESS;
    for id in ids {
        match notifier.redeliver(&id).await.with_context(|| format!("{id} cannot be made due"))? {
            true => println!("{id} is due"),
            false => {
                println!("{id} is no dead letter");
                end = ExitCode::FAILURE;
            }
        }
    }
    Ok(end)
}
