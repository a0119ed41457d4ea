//! What was seen: how often what happened, and every wrong.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;

#[derive(Default)]
pub struct Report {
    counts: Mutex<BTreeMap<String, u64>>,
    wrongs: Mutex<Vec<String>>,
}

/// More are only counted.
const SHOWN: usize = 40;

impl Report {
    pub fn count(&self, what: impl Into<String>) {
        *self.counts.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    /// What must never happen.
    pub fn wrong(&self, what: String) {
        println!("WRONG: {what}");
        self.wrongs.lock().unwrap().push(what);
    }

    /// Of things that must have happened, or the storm was none.
    pub fn need(&self, what: &str) {
        if !self.counts.lock().unwrap().contains_key(what) {
            self.wrong(format!("it never came to this: {what}"));
        }
    }

    pub fn print(&self) -> ExitCode {
        println!();
        for (what, count) in &*self.counts.lock().unwrap() {
            println!("{count:>9}  {what}");
        }
        let wrongs = self.wrongs.lock().unwrap();
        if wrongs.is_empty() {
            println!("\nNothing was wrong.");
            return ExitCode::SUCCESS;
        }
        println!("\n{} wrongs:", wrongs.len());
        wrongs.iter().take(SHOWN).for_each(|wrong| println!("- {wrong}"));
        ExitCode::FAILURE
    }
}
