//! `resized sign`: signs URLs.
//!
//! A signed URL may request sizes that `[sizes]` does not allow. With `signing.require` only signed URLs are served.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::Args;
use resized::variant::{Grammar, Signer, UrlToSign};

use super::{Settings, print};

/// Sign URLs with the first of signing.keys
///
/// Prints each URL with its signature, one per line. Only the path is signed; the rest of the query is unchanged and may be
/// modified later. docs/SIGNING.md shows the algorithm in other languages.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// URLs or paths: https://images.example.com/photos/cat_300x200.jpg or /photos/cat_300x200.jpg
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
    /// Period of validity: 15m, 7d; by default as long as the key
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let signer =
        Signer::new(&settings.config.signing).context("no signing key is configured: set RESIZED_SIGNING__KEYS")?;
    let grammar = Grammar::new(&settings.config)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires = arguments.expires_in.map(|time| now.saturating_add(time).as_secs());
    for url in &arguments.urls {
        let UrlToSign { key, prefix } = UrlToSign::parse(url).map_err(|problem| anyhow!("{url}: {problem}"))?;
        // Rejects URLs that cannot be served even with a signature.
        grammar.parse(&key.url_path()).with_context(|| url.clone())?;
        print::line(format_args!("{prefix}{}", signer.query(&key, expires)));
    }
    Ok(ExitCode::SUCCESS)
}
