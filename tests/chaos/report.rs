//! Counts of events, and every violation.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;

#[derive(Default)]
pub struct Report {
    counts: Mutex<BTreeMap<String, u64>>,
    violations: Mutex<Vec<String>>,
}

/// Violations printed at the end.
const SHOWN: usize = 40;

impl Report {
    pub fn count(&self, what: impl Into<String>) {
        *self.counts.lock().unwrap().entry(what.into()).or_default() += 1;
    }

    /// Records something that must never happen.
    pub fn violation(&self, what: String) {
        println!("VIOLATION: {what}");
        self.violations.lock().unwrap().push(what);
    }

    /// Requires that an event happened at least once; otherwise the run tested too little.
    pub fn require(&self, what: &str) {
        if !self.counts.lock().unwrap().contains_key(what) {
            self.violation(format!("this never happened: {what}"));
        }
    }

    pub fn print(&self) -> ExitCode {
        println!();
        for (what, count) in &*self.counts.lock().unwrap() {
            println!("{count:>9}  {what}");
        }
        let violations = self.violations.lock().unwrap();
        if violations.is_empty() {
            println!("\nNo violations.");
            return ExitCode::SUCCESS;
        }
        println!("\n{} violations:", violations.len());
        violations.iter().take(SHOWN).for_each(|violation| println!("- {violation}"));
        ExitCode::FAILURE
    }
}
