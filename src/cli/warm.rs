//! `resized warm`: makes variants in advance.
//!
//! The command makes the variants in this process and sends no requests to a server, so it does not delay responses to
//! visitors. A variant counts as done once the store has confirmed the write. Servers find these variants in the store,
//! like variants that other nodes have stored.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use futures_util::{Stream, StreamExt as _, stream};
use resized::app::{Stores, VariantsContext, build_variants, open_account};
use resized::config::{Log, MemoryPlan, Tuning, ValueSource};
use resized::observability::logs;
use resized::observability::metrics::Metrics;
use resized::origin::Store;
use resized::proxy::ResponsePolicy;
use resized::support::error_chain::chain;
use resized::support::tasks::Tasks;
use resized::support::threads::count_or_cores;
use resized::variant::{Format, Grammar};
use resized::variants::{EnsureStored, EnsureStoredError, Error, Variants};
use tokio::runtime::Runtime;

use super::Settings;
use super::args::sizes::parse_format;
use progress::Progress;
use targets::{Names, Target, Targets};

mod progress;
mod sitemap;
mod targets;

/// Make and store variants in advance
///
/// Of a name without a second extension, the variants in all formats of formats.negotiate are made too, so that visitors get the final
/// one at once.
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
    /// Output format, with --size; by default that of the original and all of formats.negotiate
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
    let is_level_set = settings.layers.source("log.level") != ValueSource::Default;
    let level = if is_level_set { settings.config.log.level.clone() } else { "error".to_owned() };
    let (_log, flush) = logs::init(&Log { level, ..settings.config.log.clone() })?;
    let result = make_all(arguments, &settings);
    flush.finish();
    result
}

fn make_all(arguments: Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    ensure!(
        arguments.listing.is_none() || !arguments.sizes.is_empty(),
        "give --size: the keys of originals contain no size"
    );
    let config = &settings.config;
    let concurrency = arguments.concurrency.map_or_else(|| 2 * count_or_cores(config.work.threads), Into::into);
    let targets = Targets::new(Grammar::new(config)?, &arguments.sizes, &arguments.formats)?;
    let names = Names::read(&arguments)?;
    let runtime = Runtime::new()?;
    let progress = runtime.block_on(async {
        let (tasks, metrics) = (Tasks::new(runtime.handle().clone()), Metrics::new());
        let stores = Stores::open(config, &metrics).await?;
        let (plan, tuning) = (MemoryPlan::new(config)?, Tuning::default());
        let variants = build_variants(VariantsContext {
            config,
            tuning: &tuning,
            stores: &stores,
            policy: Arc::new(ResponsePolicy::new(config)),
            tasks: &tasks,
            metrics: &metrics,
            memory: &open_account(&plan, config, &tuning),
            cache_bytes: plan.cache,
        })?;
        let progress = Progress::start(arguments.done.as_deref())?;
        progress.set_total(names.count(&stores.originals).await? * targets.per_name());
        let interrupted = tokio::signal::ctrl_c();
        let targets = named_targets(&names, &stores.originals, &targets, &progress).take_until(interrupted);
        targets.for_each_concurrent(concurrency, |target| warm(&variants, target, &progress)).await;
        tasks.drain(config.server.drain_timeout).await;
        variants.shutdown();
        anyhow::Ok(progress)
    })?;
    Ok(if progress.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All variants that are not recorded as done. An invalid name is reported and counted as a failure.
fn named_targets<'a>(
    names: &'a Names,
    originals: &'a Store,
    targets: &'a Targets,
    progress: &'a Progress,
) -> impl Stream<Item = Target> + 'a {
    let of_name = move |name: anyhow::Result<String>| {
        let name = match name {
            Ok(name) => name,
            Err(error) => {
                progress.failed("the originals store", &format!("{error:#}"));
                return stream::iter(Vec::new());
            }
        };
        let found = targets.of_name(&name).unwrap_or_else(|error| {
            progress.failed(&name, &format!("{error:#}"));
            Vec::new()
        });
        progress.reduce_total(targets.per_name() - (found.len() as u64).max(1));
        stream::iter(found)
    };
    names.stream(originals).flat_map(of_name).filter(|target| std::future::ready(!progress.is_done(&target.path)))
}

/// Attempts per variant while the queues are full, and the pause between them.
const ATTEMPTS_MAX: usize = 5;
const ATTEMPT_PAUSE: Duration = Duration::from_secs(2);

/// Makes and stores a variant and counts the result.
async fn warm(variants: &Variants, target: Target, progress: &Progress) {
    let Target { path, allowed, smaller } = target;
    let variant = match allowed {
        Ok(variant) => variant,
        Err(reason) => return progress.failed(&path, &reason),
    };
    for is_last in (0..ATTEMPTS_MAX).map(|n| n + 1 == ATTEMPTS_MAX) {
        match variants.ensure_stored(&variant, smaller.as_ref()).await {
            Ok(EnsureStored::Made) => return progress.made(&path),
            Ok(EnsureStored::AlreadyStored) => return progress.stored(&path),
            Err(EnsureStoredError::Variant(Error::Overloaded | Error::LaneFull(_) | Error::MemoryFull(_)))
                if !is_last =>
            {
                tokio::time::sleep(ATTEMPT_PAUSE).await
            }
            Err(error) => return progress.failed(&path, &chain(&error)),
        }
    }
}
