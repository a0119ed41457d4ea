//! `resized warm`: makes variants before anybody asks.
//!
//! It works in its own process with the server's parts, not by requests to a server: no server has to run or is kept from
//! its visitors, nothing need travel back, and a variant counts as done only once the store has confirmed it. For that the
//! proxy is opened in redirect mode, whose lookups are also a HEAD instead of a whole variant. Servers find what was stored
//! as they find what other nodes stored.

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
use resized::config::{Config, Log, Mode, Overload, Rates, Require, ValueSource};
use resized::observability::logs;
use resized::observability::metrics::{Metrics, Outcome};
use resized::proxy::Proxy;
use resized::support::tasks::Tasks;
use resized::variant::{Format, Grammar};
use tokio::runtime::Runtime;

use super::Settings;
use super::args::sizes::format;
use progress::Tally;
use targets::{Names, Wanted};

mod progress;
mod sitemap;
mod targets;

/// Make variants before anybody asks
///
/// What is stored already and made of the original as it is costs two HEAD requests; the rest is made and stored as the server
/// would, and left to it to be found. No server has to run. Those in memory of one that runs are none of its concern.
///
/// It can be interrupted, and begun again: what is stored is not made twice. With --done not even asked for twice.
///
/// Exit status 1 if one of them could not be made and stored; each is said, and why.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Paths or URLs of variants; with --size of originals, or their keys
    #[arg(value_name = "NAME", required_unless_present_any = ["from", "sitemap", "listing"])]
    names: Vec<String>,
    /// A file of such names, one a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "sitemap", "listing"])]
    from: Option<String>,
    /// A sitemap of which the pictures are taken (image:loc, and loc with a picture's extension); - is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "listing"])]
    sitemap: Option<String>,
    /// All pictures in the originals' store, by their extensions, or those whose keys begin so
    #[arg(long, value_name = "PREFIX", num_args = 0..=1, default_missing_value = "", conflicts_with = "names")]
    listing: Option<String>,
    /// As in URLs: 300x200, 300x, 300x200_crop_top@2x, or the name of a preset
    #[arg(short, long = "size", value_name = "SIZE")]
    sizes: Vec<String>,
    /// What each is made as, with --size; without it, what it is called
    #[arg(short, long = "format", value_name = "FORMAT", value_parser = format, requires = "sizes")]
    formats: Vec<Format>,
    /// How many at a time; without it, two for each resize thread
    #[arg(long, value_name = "N")]
    concurrency: Option<std::num::NonZeroUsize>,
    /// A file where what is done is noted, and that is passed over next time
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
    // What goes wrong in the stores is told as the server tells it; the rest is told here.
    let is_set = settings.layers.source("log.level") != ValueSource::Default;
    let level = if is_set { settings.config.log.level.clone() } else { "error".to_owned() };
    logs::init(&Log { level, ..settings.config.log.clone() })?;
    ensure!(
        arguments.listing.is_none() || !arguments.sizes.is_empty(),
        "give --size: originals have none in their names"
    );
    let at_once = arguments.concurrency.map_or_else(|| 2 * threads(&settings.config), Into::into);
    let config = redirecting(settings.config);
    let wanted = Wanted::new(Grammar::new(&config)?, &arguments.sizes, &arguments.formats)?;
    let names = Names::read(&arguments)?;
    let runtime = Runtime::new()?;
    let tally = runtime.block_on(async {
        let proxy = Proxy::open(&config, Tasks::new(runtime.handle().clone()), Arc::new(Metrics::new())).await?;
        let tally = Tally::begin(arguments.done.as_deref())?;
        tally.expect(names.count(&proxy).await? * wanted.of_each());
        let interrupted = tokio::signal::ctrl_c();
        let paths = paths(&names, &proxy, &wanted, &tally).take_until(interrupted);
        paths.for_each_concurrent(at_once, |path| warm(&proxy, path, &tally)).await;
        proxy.drain(config.server.drain_timeout).await;
        anyhow::Ok(tally)
    })?;
    Ok(if tally.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The same settings, answering when the store has confirmed. Nobody hears of the URLs.
fn redirecting(mut config: Config) -> Config {
    config.answers.mode = Mode::Redirect;
    config.variants.public_url = "http://stored.invalid".to_owned();
    config.work.overload = Overload::Refuse;
    // Nothing is asked for twice, and renditions are not kept.
    config.cache.memory = ByteSize::mib(1);
    config.notify.url = String::new();
    config.traces.endpoint = String::new();
    // The operator is no client: neither counted nor asked for signatures.
    config.rates = Rates { variants_per_original: 0, variants_per_client: 0, requests_per_client: 0 };
    config.signing.require = Require::None;
    config.upload.enabled = false;
    config
}

fn threads(config: &Config) -> usize {
    match config.work.threads {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        threads => threads,
    }
}

/// The paths of all variants that are wanted and not noted as done. What is no name of any is told and counted.
fn paths<'a>(
    names: &'a Names,
    proxy: &'a Proxy,
    wanted: &'a Wanted,
    tally: &'a Tally,
) -> impl Stream<Item = String> + 'a {
    let of_name = move |name: anyhow::Result<String>| {
        let name = match name {
            Ok(name) => name,
            Err(error) => {
                tally.failed("the originals", &format!("{error:#}"));
                return stream::iter(Vec::new());
            }
        };
        let paths = wanted.paths(&name).unwrap_or_else(|error| {
            tally.forgo(wanted.of_each() - 1);
            tally.failed(&name, &format!("{error:#}"));
            Vec::new()
        });
        stream::iter(paths)
    };
    names.stream(proxy).flat_map(of_name).filter(|path| std::future::ready(!tally.passes_over(path)))
}

/// How often a variant is tried while queues are full, and the pause between.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_secs(2);

/// Has a variant made and stored, and counts it.
async fn warm(proxy: &Proxy, path: String, tally: &Tally) {
    for last in (0..TRIES).map(|n| n + 1 == TRIES) {
        match once(proxy, &path).await {
            Ok(Outcome::Made) => return tally.made(&path),
            Ok(Outcome::Overloaded) if !last => tokio::time::sleep(PAUSE).await,
            Ok(_) => return tally.stored(&path),
            Err(error) => return tally.failed(&path, &format!("{error:#}")),
        }
    }
}

/// A request for it: a redirect, if it is in the store now.
async fn once(proxy: &Proxy, path: &str) -> anyhow::Result<Outcome> {
    let request = Request::get(path).header(http::header::HOST, "warm.invalid").body(()).context("it is no path")?;
    let answered = proxy.answer(Ipv4Addr::LOCALHOST.into(), &request).await;
    let status = answered.response.status();
    match answered.outcome {
        Outcome::Overloaded => return Ok(Outcome::Overloaded),
        Outcome::Snapped => anyhow::bail!("this size is not allowed ([sizes]); requests are sent to the next that is"),
        Outcome::Original => anyhow::bail!("there is no such original; its own name is that of a size"),
        _ if status.is_redirection() => return Ok(answered.outcome),
        _ => ensure!(!status.is_success(), "it was made, but could not be stored"),
    }
    let body = answered.response.into_body().collect().await.map_err(anyhow::Error::from_boxed)?.to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    anyhow::bail!("{}: {}", status.as_u16(), problem["detail"].as_str().unwrap_or("it cannot be made"))
}
