//! What has been made, found and failed; on a terminal with a bar, and if so wished in a file.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};

pub(super) struct Tally {
    bar: ProgressBar,
    made: AtomicU64,
    stored: AtomicU64,
    failed: AtomicU64,
    passed_over: AtomicU64,
    done: HashSet<String>,
    notes: Option<Mutex<File>>,
}

/// Rate and time left are of all that are wanted.
const BAR: &str = "{bar:30} {pos} of {len}  {per_sec}  {eta} left  {msg}";

impl Tally {
    /// Nothing yet, but what `notes` says was done before.
    pub(super) fn begin(notes: Option<&Path>) -> anyhow::Result<Self> {
        let mut done = HashSet::new();
        let notes = match notes {
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
        // Where standard error is no terminal, it draws nothing.
        let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(BAR)?);
        bar.enable_steady_tick(Duration::from_millis(250));
        let [made, stored, failed, passed_over] = std::array::from_fn(|_| AtomicU64::new(0));
        Ok(Self { bar, made, stored, failed, passed_over, done, notes })
    }

    /// So many are wanted in all.
    pub(super) fn expect(&self, all: u64) {
        self.bar.set_length(all);
    }

    /// So many fewer are.
    pub(super) fn forgo(&self, fewer: u64) {
        self.bar.dec_length(fewer);
    }

    /// Whether it was done before; then it is counted so.
    pub(super) fn passes_over(&self, path: &str) -> bool {
        let is_done = self.done.contains(path);
        if is_done {
            self.count(&self.passed_over);
        }
        is_done
    }

    pub(super) fn made(&self, path: &str) {
        self.count(&self.made);
        self.note(path);
    }

    pub(super) fn stored(&self, path: &str) {
        self.count(&self.stored);
        self.note(path);
    }

    pub(super) fn failed(&self, what: &str, why: &str) {
        self.count(&self.failed);
        self.bar.suspend(|| eprintln!("{what}: {why}"));
    }

    /// Says how it ended; whether all is well.
    pub(super) fn end(self) -> bool {
        self.bar.finish_and_clear();
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let (made, stored, failed) = (count(&self.made), count(&self.stored), count(&self.failed));
        println!("{made} made, {stored} were stored already, {failed} failed, in {:.1?}", self.bar.elapsed());
        let passed_over = count(&self.passed_over);
        if passed_over > 0 {
            println!("{passed_over} were done before (--done)");
        }
        let all = self.bar.length().unwrap_or_default();
        let left = all.saturating_sub(made + stored + failed + passed_over);
        if left > 0 {
            println!("{left} are left: do the same again to go on");
        }
        failed == 0 && left == 0
    }

    fn count(&self, of: &AtomicU64) {
        of.fetch_add(1, Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        if failed > 0 {
            self.bar.set_message(format!("{failed} failed"));
        }
        self.bar.inc(1);
    }

    fn note(&self, path: &str) {
        let Some(notes) = &self.notes else { return };
        let noted = writeln!(notes.lock().unwrap_or_else(PoisonError::into_inner), "{path}");
        if let Err(error) = noted {
            self.bar.suspend(|| eprintln!("{path} is not noted as done: {error}"));
        }
    }
}
