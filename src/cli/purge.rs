//! `resized purge`: deletes the variants of replaced originals.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use resized::app::Stores;
use resized::observability::metrics::Metrics;
use resized::origin::Store;
use resized::support::error_chain::chain;
use resized::variant::ObjectKey;
use resized::variants::delete_stored;
use tokio::runtime::Runtime;

use super::{Settings, print};
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
            let stores = Stores::open(&settings.config, &Metrics::new()).await?;
            Ok(purge_store(&stores.variants, &arguments.keys).await)
        } else {
            anyhow::Ok(purge_nodes(&Client::new(settings.config.admin.token.clone())?, arguments).await)
        }
    })?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Deletes the stored variants of each key. Returns true if a purge failed.
async fn purge_store(variants: &Store, keys: &[ObjectKey]) -> bool {
    let mut failed = false;
    for key in keys {
        match delete_stored(variants, key).await {
            Ok(deleted) => print::line(format_args!("{key}: {deleted} variants deleted")),
            Err(error) => {
                print::error(format_args!("{key}: {}", chain(&error)));
                failed = true;
            }
        }
    }
    failed
}

/// Sends each purge to all nodes. Returns true if a purge failed.
async fn purge_nodes(client: &Client, arguments: &Arguments) -> bool {
    let mut failed = false;
    for key in &arguments.keys {
        for node in &arguments.admin {
            let url = format!("{}/purge{}", node.trim_end_matches('/'), key.url_path());
            let response = client.post(&url).await.with_context(|| format!("{node} does not respond"));
            match response {
                Ok((status, body)) if status.is_success() => print::line(format_args!("{node}: {}", body.trim_end())),
                Ok((status, body)) => {
                    print::error(format_args!("{node}: {key}: {status}: {}", body.trim_end()));
                    failed = true;
                }
                Err(error) => {
                    print::error(format_args!("{key}: {error:#}"));
                    failed = true;
                }
            }
        }
    }
    failed
}

fn parse_key(text: &str) -> Result<ObjectKey, String> {
    ObjectKey::new(text).map_err(|error| error.to_string())
}
