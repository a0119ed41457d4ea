//! `resized sign`: URLs that may ask for what [sizes] does not allow, or for anything where signatures are required.

use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow};
use clap::Args;
use resized::variant::{Grammar, Signer, to_be_signed};

use super::Settings;

/// Sign URLs with the first of signing.keys
///
/// Each is written back with a signature, one a line. It is of the path alone: whatever else is in the query stays as it is
/// and can be changed. docs/SIGNING.md has the same in other languages.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// https://images.example.com/photos/cat_300x200.jpg, or a path alone: /photos/cat_300x200.jpg
    #[arg(value_name = "URL", required = true)]
    urls: Vec<String>,
    /// How long from now they are good: 15m, 7d; without it for as long as the key
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let signer = Signer::new(&settings.config.signing).context("there is no key: set RESIZED_SIGNING__KEYS")?;
    let grammar = Grammar::new(&settings.config)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires = arguments.expires_in.map(|time| now.saturating_add(time).as_secs());
    for url in &arguments.urls {
        let (key, to_be_continued) = to_be_signed(url).map_err(|problem| anyhow!("{url}: {problem}"))?;
        // What could not be served signed either is said now.
        grammar.parse(&key.url_path()).with_context(|| url.clone())?;
        println!("{to_be_continued}{}", signer.query(&key, expires));
    }
    Ok(ExitCode::SUCCESS)
}
