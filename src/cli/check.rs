//! `resized check`: tests the settings and the stores, and suggests fixes.

use std::process::ExitCode;

use clap::Args;
use resized::app::App;
use resized::config::Tuning;
use resized::origin::probe::{Capabilities, Severity};
use resized::origin::{Store, StoreError};
use resized::support::error_chain::chain;
use resized::support::url_secrets::mask_url;
use tokio::runtime::Runtime;

use super::{Settings, print};

/// Test the settings and the stores, and suggest fixes
///
/// Tests everything that serving needs: all settings are valid, both stores respond, a missing object can be distinguished from
/// a forbidden one, and objects can be listed. In the variants store an object below resized-probe/ is written twice and
/// deleted. If notifications are configured, a HEAD request tests whether the API responds. If traces are configured, the
/// collector is sent an empty batch. The process that decodes AVIF originals is started once.
///
/// Exit status 1 if pictures cannot be served. A warning does not change the exit status.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also write one object by 50 concurrent requests, three times: only one of them may succeed
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
        // Building the whole server checks the settings that parsing does not check.
        let app = App::build(config.clone(), Tuning::default()).await?;
        let stores = app.stores();
        report.line(Verdict::Passed, "settings", &file);
        for (role, store, findings) in [
            ("originals", &config.originals.store, stores.originals.probe_reading().await),
            ("variants", &config.variants.store, stores.variants.probe_writing().await),
        ] {
            report.store(role, &store.to_string(), &findings);
        }
        if arguments.race {
            report.races(&stores.variants).await;
        }
        if let Some(notifier) = app.notifier() {
            if let Some(outbox) = &config.notify.outbox {
                report.store("outbox", &outbox.to_string(), &notifier.probe_outbox().await);
            }
            report.api(&mask_url(&config.notify.url), notifier.probe_api().await);
        }
        if let Some(reached) = app.traces().probe_collector().await {
            report.collector(&mask_url(&config.traces.endpoint), reached);
        }
        anyhow::Ok(())
    })?;
    #[cfg(feature = "sandbox")]
    if config.formats.originals.iter().any(|codec| codec.is_sandboxed()) {
        report.decoder(resized::resize::sandbox::check().map_err(|error| error.to_string()));
    }
    Ok(report.exit_code())
}

/// The result of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Warning,
    Failed,
}

#[derive(Debug, Default)]
struct Report {
    warnings: usize,
    failures: usize,
}

impl Report {
    fn line(&mut self, verdict: Verdict, subject: &str, text: &str) {
        let word = match verdict {
            Verdict::Passed => "ok",
            Verdict::Warning => "warn",
            Verdict::Failed => "FAILED",
        };
        print::line(format_args!("{subject:<10} {word:<7} {text}"));
        self.warnings += usize::from(verdict == Verdict::Warning);
        self.failures += usize::from(verdict == Verdict::Failed);
    }

    fn detail(text: &str) {
        print::line(format_args!("{:<18} {text}", ""));
    }

    fn store(&mut self, role: &str, address: &str, findings: &Result<Capabilities, StoreError>) {
        let findings = match findings {
            Ok(findings) => findings,
            Err(error) => {
                self.line(Verdict::Failed, role, address);
                Self::detail(&chain(error));
                let fix = error.advice().unwrap_or_else(|| suggested_fix(error).to_owned());
                return Self::detail(&format!("fix: {fix}"));
            }
        };
        let advice = findings.advice();
        let verdict = match advice.iter().map(|advice| advice.severity).max() {
            None => Verdict::Passed,
            Some(Severity::Degraded) => Verdict::Warning,
            Some(Severity::Broken) => Verdict::Failed,
        };
        self.line(verdict, role, address);
        Self::detail(&findings.to_string());
        advice.iter().for_each(|advice| Self::detail(&format!("fix: {}", advice.text)));
    }

    async fn races(&mut self, variants: &Store) {
        for _ in 0..RACES {
            let (verdict, text) = match variants.race(WRITERS).await {
                Ok(1) => (
                    Verdict::Passed,
                    format!("{WRITERS} concurrent writers, 1 succeeded: each variant is written once"),
                ),
                Ok(stored) => (
                    Verdict::Warning,
                    format!(
                        "{WRITERS} concurrent writers, {stored} succeeded: several nodes may write the same variant"
                    ),
                ),
                Err(error) => (Verdict::Failed, chain(&error)),
            };
            self.line(verdict, "race", &text);
        }
    }

    fn api(&mut self, url: &str, reached: Result<u16, String>) {
        match reached {
            Ok(status @ (404 | 500..)) => {
                self.line(Verdict::Warning, "notify", url);
                Self::detail(&format!("it responds {status} to HEAD"));
                Self::detail("fix: check the path of notify.url and the state of the API");
            }
            Ok(status) => {
                self.line(Verdict::Passed, "notify", url);
                Self::detail(&format!("it responds ({status} to HEAD); the signature is not tested"));
            }
            Err(reason) => {
                self.line(Verdict::Warning, "notify", url);
                Self::detail(&format!("it does not respond: {reason}"));
                Self::detail("fix: start the API or correct notify.url; until then notifications wait in the outbox");
            }
        }
    }

    fn collector(&mut self, url: &str, reached: Result<u16, String>) {
        match reached {
            Ok(status) => {
                self.line(Verdict::Passed, "traces", url);
                Self::detail(&format!("it accepts spans ({status} to an empty batch)"));
            }
            Err(reason) => {
                self.line(Verdict::Warning, "traces", url);
                Self::detail(&format!("it does not accept spans: {reason}"));
                Self::detail("fix: start the collector or correct traces.endpoint; until then spans are lost");
            }
        }
    }

    #[cfg(feature = "sandbox")]
    fn decoder(&mut self, checked: Result<(), String>) {
        match checked {
            Ok(()) => self.line(Verdict::Passed, "sandbox", "originals are decoded in a sandboxed process"),
            Err(reason) => {
                self.line(Verdict::Warning, "sandbox", "some formats of originals cannot be decoded");
                Self::detail(&reason);
                Self::detail(
                    "fix: allow the program to start itself and to use seccomp(2), or leave only jpg, png, webp and gif in formats.originals",
                );
            }
        }
    }

    fn exit_code(self) -> ExitCode {
        match (self.failures, self.warnings) {
            (0, 0) => print::line("\nAll checks passed."),
            (0, warnings) => print::line(format_args!("\nReady to serve, with {warnings} warnings.")),
            (failures, _) => {
                print::line(format_args!("\n{failures} checks failed."));
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}

/// The fix for a store that cannot be probed, if the error has no specific advice.
fn suggested_fix(error: &StoreError) -> &'static str {
    match error {
        StoreError::Forbidden { .. } => {
            "the credentials are invalid or lack a permission: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or the role \
             of the machine), and apply the policy of docs/S3.md"
        }
        StoreError::ClockSkew { .. } => "synchronize the clock of this machine with NTP",
        StoreError::NoCredentials { .. } => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of the machine"
        }
        StoreError::RootMissing { .. } => "mount the file system of the folder, or restore the folder",
        StoreError::Unavailable { .. } | StoreError::Timeout { .. } | StoreError::Busy => {
            "check s3.endpoint and s3.region, and that this machine can reach the endpoint"
        }
        StoreError::Other { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Truncated { .. }
        | StoreError::Replaced
        | StoreError::RangeNotSatisfiable { .. }
        | StoreError::UploadMemoryFull => {
            "check that the bucket exists, and that s3.region and s3.path_style are correct"
        }
    }
}
