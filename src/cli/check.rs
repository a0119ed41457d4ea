//! `resized check`: tries what serving needs, and says in plain words what to fix.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use resized::observability::metrics::Metrics;
use resized::origin::StoreError;
use resized::origin::probe::{Capabilities, Severity};
use resized::proxy::Proxy;
use resized::support::error_chain::chain;
use resized::support::tasks::Tasks;
use tokio::runtime::Runtime;

use super::Settings;

/// Try the settings and the stores, and say what to fix.
///
/// Reads what serving would read: every setting is understood, both stores answer, a missing object is told from a forbidden
/// one, objects can be listed, and in the variants' store one is written twice and deleted, below resized-probe/. If an API
/// is to hear of uploads, a HEAD asks whether it answers at all; a collector of traces is sent a batch of none. The process that
/// decodes AVIF originals is started once.
///
/// Exit status 1 if anything must be fixed before pictures can be served. A warning is no error: it is served, but less well.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also let 50 writers write one object at the same time, three times: one alone may succeed
    #[arg(long)]
    race: bool,
}

const WRITERS: usize = 50;
const RACES: usize = 3;

pub(super) fn run(arguments: &Arguments, settings: &Settings) -> anyhow::Result<ExitCode> {
    let config = &settings.config;
    let mut report = Report::default();
    let file = settings.file.as_ref().map_or("defaults and environment".into(), |file| file.display().to_string());
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let proxy = Proxy::open(config, Tasks::new(runtime.handle().clone()), Arc::new(Metrics::new())).await?;
        report.line(Verdict::Well, "settings", &file);
        for (role, store, findings) in [
            ("originals", &config.originals.store, proxy.probe_originals().await),
            ("variants", &config.variants.store, proxy.probe_variants().await),
        ] {
            report.store(role, &store.to_string(), &findings);
        }
        if arguments.race {
            report.races(&proxy).await;
        }
        if let Some(notifier) = proxy.notifier() {
            if let Some(outbox) = &config.notify.outbox {
                report.store("outbox", &outbox.to_string(), &notifier.probe_outbox().await);
            }
            report.api(&config.notify.url, notifier.probe_api().await);
        }
        if let Some(reached) = proxy.traces().probe_collector().await {
            report.collector(&config.traces.endpoint, reached);
        }
        anyhow::Ok(())
    })?;
    #[cfg(feature = "avif-originals")]
    if config.formats.avif_originals {
        report.decoder(resized::resize::decoder::check());
    }
    Ok(report.end())
}

/// What is said of one thing that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Well,
    Warning,
    Broken,
}

#[derive(Debug, Default)]
struct Report {
    warnings: usize,
    broken: usize,
}

impl Report {
    fn line(&mut self, verdict: Verdict, what: &str, text: &str) {
        let word = match verdict {
            Verdict::Well => "ok",
            Verdict::Warning => "warn",
            Verdict::Broken => "BROKEN",
        };
        println!("{what:<10} {word:<7} {text}");
        self.warnings += usize::from(verdict == Verdict::Warning);
        self.broken += usize::from(verdict == Verdict::Broken);
    }

    fn more(text: &str) {
        println!("{:<18} {text}", "");
    }

    fn store(&mut self, role: &str, address: &str, findings: &Result<Capabilities, StoreError>) {
        let findings = match findings {
            Ok(findings) => findings,
            Err(error) => {
                self.line(Verdict::Broken, role, address);
                Self::more(&chain(error));
                return Self::more(&format!("fix: {}", what_to_fix(error)));
            }
        };
        let advice = findings.advice();
        let verdict = match advice.iter().map(|advice| advice.severity).max() {
            None => Verdict::Well,
            Some(Severity::Degraded) => Verdict::Warning,
            Some(Severity::Broken) => Verdict::Broken,
        };
        self.line(verdict, role, address);
        Self::more(&findings.to_string());
        advice.iter().for_each(|advice| Self::more(&format!("fix: {}", advice.text)));
    }

    async fn races(&mut self, proxy: &Proxy) {
        for _ in 0..RACES {
            let (verdict, text) = match proxy.race(WRITERS).await {
                Ok(1) => (Verdict::Well, format!("{WRITERS} writers at once, 1 stored: each variant is written once")),
                Ok(stored) => (
                    Verdict::Warning,
                    format!(
                        "{WRITERS} writers at once, {stored} were told that they stored: several nodes may write one variant"
                    ),
                ),
                Err(error) => (Verdict::Broken, chain(&error)),
            };
            self.line(verdict, "race", &text);
        }
    }

    fn api(&mut self, url: &str, reached: Result<u16, String>) {
        match reached {
            Ok(status @ (404 | 500..)) => {
                self.line(Verdict::Warning, "notify", url);
                Self::more(&format!("it answers {status} to a HEAD"));
                Self::more(
                    "fix: see that the path of notify.url is where the API takes a POST, and that the API is well",
                );
            }
            Ok(status) => {
                self.line(Verdict::Well, "notify", url);
                Self::more(&format!("it answers ({status} to a HEAD); whether it believes the signature is not tried"));
            }
            Err(reason) => {
                self.line(Verdict::Warning, "notify", url);
                Self::more(&format!("it does not answer: {reason}"));
                Self::more("fix: start the API, or correct notify.url; until then notifications wait in the outbox");
            }
        }
    }

    fn collector(&mut self, url: &str, reached: Result<u16, String>) {
        match reached {
            Ok(status) => {
                self.line(Verdict::Well, "traces", url);
                Self::more(&format!("it takes them ({status} to a batch of none)"));
            }
            Err(reason) => {
                self.line(Verdict::Warning, "traces", url);
                Self::more(&format!("it takes none: {reason}"));
                Self::more(
                    "fix: start the collector, or correct traces.endpoint; until then spans are lost, and nothing else",
                );
            }
        }
    }

    #[cfg(feature = "avif-originals")]
    fn decoder(&mut self, checked: Result<(), String>) {
        match checked {
            Ok(()) => {
                self.line(Verdict::Well, "avif", "originals are decoded in a process of their own, which is confined")
            }
            Err(reason) => {
                self.line(Verdict::Warning, "avif", "originals cannot be decoded");
                Self::more(&reason);
                Self::more(
                    "fix: let the program start itself and use seccomp(2), or set formats.avif_originals = false",
                );
            }
        }
    }

    fn end(self) -> ExitCode {
        match (self.broken, self.warnings) {
            (0, 0) => println!("\nAll is well."),
            (0, warnings) => println!("\nIt can be served; {warnings} could be better."),
            (broken, _) => {
                println!("\n{broken} must be fixed.");
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}

/// What an operator can do about a store that did not let itself be probed.
fn what_to_fix(error: &StoreError) -> &'static str {
    match error {
        StoreError::Forbidden { .. } => {
            "the credentials are not believed or have no right to this: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or \
             the machine's role), and copy the policy of docs/S3.md"
        }
        StoreError::ClockSkew { .. } => "set this machine's clock, by NTP",
        StoreError::Unavailable { .. } | StoreError::Timeout { .. } | StoreError::Busy => {
            "see that s3.endpoint and s3.region are right and that this machine reaches it"
        }
        StoreError::Other { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Truncated { .. }
        | StoreError::RangeNotSatisfiable { .. } => {
            "see that the bucket exists, and that s3.region and s3.path_style fit"
        }
    }
}
