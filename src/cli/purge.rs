//! `resized purge`: deletes what was made of an original that was replaced.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use resized::observability::metrics::Metrics;
use resized::proxy::Proxy;
use resized::support::error_chain::chain;
use resized::support::tasks::Tasks;
use resized::variant::ObjectKey;
use tokio::runtime::Runtime;

use super::Settings;
use client::Client;

mod client;

/// Delete every variant of an original
///
/// They are deleted in the variants' store. Nodes that run keep what is in their memory until they look at the original
/// again (cache.revalidate_after; never, with originals.immutable): name their admin listeners by --admin and they forget
/// it at once, each by its POST /purge, which also deletes in the store.
///
/// Exit status 1 if one purge failed; it may be partly done, and can be done again.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keys of originals, as they are called in their store: photos/cat.jpg
    #[arg(value_name = "KEY", required = true, value_parser = key)]
    keys: Vec<ObjectKey>,
    /// Nodes to be told, by their admin listeners: http://10.0.0.7:8081; the token is admin.token
    #[arg(long, value_name = "URL")]
    admin: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    let failed = runtime.block_on(async {
        if arguments.admin.is_empty() {
            let tasks = Tasks::new(runtime.handle().clone());
            let proxy = Proxy::open(&settings.config, tasks, Arc::new(Metrics::new())).await?;
            in_store(&proxy, &arguments.keys).await
        } else {
            by_nodes(&Client::new(settings.config.admin.token.clone())?, arguments).await
        }
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn in_store(proxy: &Proxy, keys: &[ObjectKey]) -> anyhow::Result<bool> {
    let mut failed = false;
    for key in keys {
        match proxy.purge(key).await {
            Ok(variants) => println!("{key}: {variants} variants deleted"),
            Err(error) => {
                eprintln!("{key}: {}", chain(&error));
                failed = true;
            }
        }
    }
    Ok(failed)
}

async fn by_nodes(client: &Client, arguments: &Arguments) -> anyhow::Result<bool> {
    let mut failed = false;
    for key in &arguments.keys {
        for node in &arguments.admin {
            let url = format!("{}/purge{}", node.trim_end_matches('/'), key.url_path());
            let answer = client.post(&url).await.with_context(|| format!("{node} does not answer"));
            match answer {
                Ok((status, body)) if status.is_success() => println!("{node}: {}", body.trim_end()),
                Ok((status, body)) => {
                    eprintln!("{node}: {key}: {status}: {}", body.trim_end());
                    failed = true;
                }
                Err(error) => {
                    eprintln!("{key}: {error:#}");
                    failed = true;
                }
            }
        }
    }
    Ok(failed)
}

fn key(text: &str) -> Result<ObjectKey, String> {
    ObjectKey::new(text).map_err(|error| error.to_string())
}
