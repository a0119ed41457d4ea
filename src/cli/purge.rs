//! `resized purge`: deletes the variants of replaced originals.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use resized::config::Tuning;
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
/// Deletes the variants in the variants store. Running nodes keep variants in memory until they check the original again
/// (cache.revalidate_after; never with originals.immutable). With --admin the named nodes drop them at once and delete the
/// stored variants.
///
/// Exit status 1 if a purge failed. It may be incomplete, and can be repeated.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Keys of originals in their store: photos/cat.jpg
    #[arg(value_name = "KEY", required = true, value_parser = parse_key)]
    keys: Vec<ObjectKey>,
    /// Admin listeners of the nodes to notify: http://10.0.0.7:8081; the token is admin.token
    #[arg(long, value_name = "URL")]
    admin: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = Runtime::new()?;
    let failed = runtime.block_on(async {
        if arguments.admin.is_empty() {
            let tasks = Tasks::new(runtime.handle().clone());
            let proxy = Proxy::open(&settings.config, &Tuning::default(), tasks, Arc::new(Metrics::new())).await?;
            purge_store(&proxy, &arguments.keys).await
        } else {
            purge_nodes(&Client::new(settings.config.admin.token.clone())?, arguments).await
        }
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn purge_store(proxy: &Proxy, keys: &[ObjectKey]) -> anyhow::Result<bool> {
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

async fn purge_nodes(client: &Client, arguments: &Arguments) -> anyhow::Result<bool> {
    let mut failed = false;
    for key in &arguments.keys {
        for node in &arguments.admin {
            let url = format!("{}/purge{}", node.trim_end_matches('/'), key.url_path());
            let response = client.post(&url).await.with_context(|| format!("{node} does not respond"));
            match response {
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

fn parse_key(text: &str) -> Result<ObjectKey, String> {
    ObjectKey::new(text).map_err(|error| error.to_string())
}
