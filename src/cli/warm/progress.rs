//! Progress of the command: counts, a progress bar on terminals, and the file of finished variants.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::print;

pub(super) struct Progress {
    bar: ProgressBar,
    made: AtomicU64,
    stored: AtomicU64,
    failed: AtomicU64,
    skipped: AtomicU64,
    /// Paths that earlier runs have recorded in the file of finished variants.
    done: HashSet<String>,
    done_file: Option<Mutex<File>>,
}

const BAR: &str = "{bar:30} {pos} of {len}  {per_sec}  {eta} left  {msg}";

impl Progress {
    /// Starts the progress bar and reads the file of finished variants, if there is one.
    pub(super) fn start(done_file: Option<&Path>) -> anyhow::Result<Self> {
        let mut done = HashSet::new();
        let done_file = match done_file {
            None => None,
            Some(path) => {
                let context = || format!("{} (--done)", path.display());
                match std::fs::read_to_string(path) {
                    Ok(text) => done.extend(text.lines().map(str::to_owned)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error).with_context(context),
                }
                Some(Mutex::new(File::options().create(true).append(true).open(path).with_context(context)?))
            }
        };
        // The bar is hidden if standard error is not a terminal.
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(BAR)?);
        bar.enable_steady_tick(Duration::from_millis(250));
        let [made, stored, failed, skipped] = std::array::from_fn(|_| AtomicU64::new(0));
        Ok(Self { bar, made, stored, failed, skipped, done, done_file })
    }

    /// Sets the total number of variants.
    pub(super) fn set_total(&self, total: u64) {
        self.bar.set_length(total);
    }

    pub(super) fn reduce_total(&self, by: u64) {
        self.bar.dec_length(by);
    }

    /// True if an earlier run has finished this variant, which is then counted as skipped.
    pub(super) fn is_done(&self, path: &str) -> bool {
        let is_done = self.done.contains(path);
        if is_done {
            self.count(&self.skipped);
        }
        is_done
    }

    /// Counts a variant that was made.
    pub(super) fn made(&self, path: &str) {
        self.count(&self.made);
        self.record(path);
    }

    /// Counts a variant that was already stored.
    pub(super) fn stored(&self, path: &str) {
        self.count(&self.stored);
        self.record(path);
    }

    /// Counts and prints a failure.
    pub(super) fn failed(&self, subject: &str, reason: &str) {
        self.count(&self.failed);
        self.bar.suspend(|| print::error(format_args!("{subject}: {reason}")));
    }

    /// Prints the result. Returns true if all variants are stored.
    pub(super) fn finish(self) -> bool {
        self.bar.finish_and_clear();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (made, stored, failed) = (count(&self.made), count(&self.stored), count(&self.failed));
        print::line(format_args!(
            "{made} made, {stored} already stored, {failed} failed, in {:.1?}",
            self.bar.elapsed()
        ));
        let skipped = count(&self.skipped);
        if skipped > 0 {
            print::line(format_args!("{skipped} skipped (--done)"));
        }
        let total = self.bar.length().unwrap_or_default();
        let left = total.saturating_sub(made + stored + failed + skipped);
        if left > 0 {
            print::line(format_args!("{left} left: repeat the command to continue"));
        }
        failed == 0 && left == 0
    }

    fn count(&self, counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        if failed > 0 {
            self.bar.set_message(format!("{failed} failed"));
        }
        self.bar.inc(1);
    }

    /// Appends `path` to the file of finished variants.
    fn record(&self, path: &str) {
        let Some(file) = &self.done_file else { return };
        let result = writeln!(file.lock().unwrap_or_else(PoisonError::into_inner), "{path}");
        if let Err(error) = result {
            self.bar.suspend(|| print::error(format_args!("cannot record {path} as done: {error}")));
        }
    }
}
