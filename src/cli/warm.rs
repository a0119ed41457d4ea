//! `resized warm`: makes variants in advance.
//!
//! The command works in this process and sends no requests to a server, so it does not slow down a server that has visitors. A
//! variant counts as done once the store has confirmed it. For that the proxy runs in redirect mode, in which a lookup is a
//! HEAD request. Servers find the variants in the store, like those that other nodes have stored.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytesize::ByteSize;
use clap::Args;
use futures_util::{Stream, StreamExt as _, stream};
use http::Request;
use http_body_util::BodyExt as _;
use resized::config::{Config, Log, Mode, Overload, Rates, Require, Tuning, ValueSource};
use resized::observability::logs;
use resized::observability::metrics::{Metrics, Outcome};
use resized::proxy::Proxy;
use resized::support::tasks::Tasks;
use resized::support::threads::count_or_cores;
use resized::variant::{Format, Grammar};
use tokio::runtime::Runtime;

use super::Settings;
use super::args::sizes::parse_format;
use progress::Progress;
use targets::{Names, Targets};

mod progress;
mod sitemap;
mod targets;

/// Make and store variants in advance
///
/// A variant that is already stored and up to date costs two HEAD requests. The others are made and stored as the server would.
/// No server has to run. The memory of running servers is not changed.
///
/// The command can be interrupted and repeated: stored variants are not made again. With --done they are not even looked up.
///
/// Exit status 1 if a variant could not be made and stored. The reason is printed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Paths or URLs of variants; with --size paths, URLs or keys of originals
    #[arg(value_name = "NAME", required_unless_present_any = ["from", "sitemap", "listing"])]
    names: Vec<String>,
    /// File with such names, one per line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "sitemap", "listing"])]
    from: Option<String>,
    /// Sitemap with pictures (image:loc, and loc with the extension of a picture); - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "listing"])]
    sitemap: Option<String>,
    /// All objects of the originals store with the extension of a picture, optionally below a prefix
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "", conflicts_with = "names")]
    listing: Option<String>,
    /// Size as in URLs: 300x200, 300x, 300x200_crop_top@2x, or the name of a preset
    #[arg(short, long = "size", value_name = "SIZE")]
    sizes: Vec<String>,
    /// Output format, with --size; by default that of the original
    #[arg(short, long = "format", value_name = "FORMAT", value_parser = parse_format, requires = "sizes")]
    formats: Vec<Format>,
    /// Number of concurrent variants; by default two per resize thread
    #[arg(long, value_name = "N")]
    concurrency: Option<std::num::NonZeroUsize>,
    /// File that records finished variants; they are skipped when the command is repeated
    #[arg(long, value_name = "FILE")]
    done: Option<std::path::PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  resized warm /photos/cat_300x200.jpg
  resized warm --size 300x --size 600x --format webp --format jpg --listing photos/
  curl -s https://example.com/sitemap.xml | resized warm --sitemap - --size 1200x
  grep -o '/photos/[^ ]*' access.log | sort -u | resized warm --from - --done warmed.txt";

pub(super) fn run(arguments: Arguments, settings: Settings) -> anyhow::Result<ExitCode> {
    // Store errors appear in the log as on the server. All other errors are printed by the command.
    let is_set = settings.layers.source("log.level") != ValueSource::Default;
    let level = if is_set { settings.config.log.level.clone() } else { "error".to_owned() };
    logs::init(&Log { level, ..settings.config.log.clone() })?;
    ensure!(
        arguments.listing.is_none() || !arguments.sizes.is_empty(),
        "give --size: the keys of originals contain no size"
    );
    let concurrency =
        arguments.concurrency.map_or_else(|| 2 * count_or_cores(settings.config.work.threads), Into::into);
    let config = warming_config(settings.config);
    let targets = Targets::new(Grammar::new(&config)?, &arguments.sizes, &arguments.formats)?;
    let names = Names::read(&arguments)?;
    let runtime = Runtime::new()?;
    let progress = runtime.block_on(async {
        let proxy =
            Proxy::open(&config, &Tuning::default(), Tasks::new(runtime.handle().clone()), Arc::new(Metrics::new()))
                .await?;
        let progress = Progress::start(arguments.done.as_deref())?;
        progress.set_total(names.count(&proxy).await? * targets.per_name());
        let interrupted = tokio::signal::ctrl_c();
        let paths = paths(&names, &proxy, &targets, &progress).take_until(interrupted);
        paths.for_each_concurrent(concurrency, |path| warm(&proxy, path, &progress)).await;
        proxy.drain(config.server.drain_timeout).await;
        anyhow::Ok(progress)
    })?;
    Ok(if progress.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Settings with which a response waits until the store has confirmed the variant. Clients never see the URLs.
fn warming_config(mut config: Config) -> Config {
    config.answers.mode = Mode::Redirect;
    config.variants.public_url = "http://stored.invalid".to_owned();
    config.work.overload = Overload::Refuse;
    // Each variant is requested once, so a cache is useless.
    config.cache.memory = ByteSize::mib(1);
    config.notify.url = String::new();
    config.traces.endpoint = String::new();
    // Rate limits and signatures do not apply to the operator.
    config.rates = Rates { variants_per_original: 0, variants_per_client: 0, requests_per_client: 0 };
    config.signing.require = Require::None;
    config.upload.enabled = false;
    config
}

/// The paths of all variants that are not recorded as done. An invalid name is reported and counted as a failure.
fn paths<'a>(
    names: &'a Names,
    proxy: &'a Proxy,
    targets: &'a Targets,
    progress: &'a Progress,
) -> impl Stream<Item = String> + 'a {
    let of_name = move |name: anyhow::Result<String>| {
        let name = match name {
            Ok(name) => name,
            Err(error) => {
                progress.failed("the originals store", &format!("{error:#}"));
                return stream::iter(Vec::new());
            }
        };
        let paths = targets.paths(&name).unwrap_or_else(|error| {
            progress.reduce_total(targets.per_name() - 1);
            progress.failed(&name, &format!("{error:#}"));
            Vec::new()
        });
        stream::iter(paths)
    };
    names.stream(proxy).flat_map(of_name).filter(|path| std::future::ready(!progress.is_done(path)))
}

/// Attempts per variant while the queues are full, and the pause between them.
const ATTEMPTS_MAX: usize = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_secs(2);

/// Makes and stores a variant and counts the result.
async fn warm(proxy: &Proxy, path: String, progress: &Progress) {
    for last in (0..ATTEMPTS_MAX).map(|n| n + 1 == ATTEMPTS_MAX) {
        match request(proxy, &path).await {
            Ok(Outcome::Made) => return progress.made(&path),
            Ok(Outcome::Overloaded) if !last => tokio::time::sleep(ATTEMPT_PAUSE).await,
            Ok(_) => return progress.stored(&path),
            Err(error) => return progress.failed(&path, &format!("{error:#}")),
        }
    }
}

/// Requests a variant. The response is a redirect if the variant is stored now.
async fn request(proxy: &Proxy, path: &str) -> anyhow::Result<Outcome> {
    let request =
        Request::get(path).header(http::header::HOST, "warm.invalid").body(()).context("the path is invalid")?;
    let answered = proxy.answer(Ipv4Addr::LOCALHOST.into(), &request).await;
    let status = answered.response.status();
    match answered.outcome {
        Outcome::Overloaded => return Ok(Outcome::Overloaded),
        Outcome::Snapped => {
            anyhow::bail!("this size is not allowed ([sizes]); requests are redirected to the nearest allowed size")
        }
        Outcome::Original => anyhow::bail!("the original does not exist; its key looks like that of a variant"),
        _ if status.is_redirection() => return Ok(answered.outcome),
        _ => ensure!(!status.is_success(), "the variant was made but could not be stored"),
    }
    let body = answered.response.into_body().collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    anyhow::bail!("{}: {}", status.as_u16(), problem["detail"].as_str().unwrap_or("the variant cannot be made"))
}
