//! Runs code from the documentation, if its language is installed.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// Returns the code blocks of `language` in `docs`.
pub fn snippets<'t>(docs: &'t str, language: &str) -> Vec<&'t str> {
    let blocks: Vec<_> = docs.split(&format!("```{language}\n")).skip(1).collect();
    assert!(!blocks.is_empty(), "no code blocks in {language}");
    blocks.iter().map(|rest| rest.split_once("```").unwrap().0).collect()
}

/// Runs `command` in `folder` and returns its output, or `None` with a message if it is not installed.
#[track_caller]
pub fn run(command: &[&str], folder: &Path) -> Option<String> {
    let output = match Command::new(command[0]).args(&command[1..]).current_dir(folder).env("GOCACHE", folder).output()
    {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("NOT CHECKED: {} is not installed", command[0]);
            return None;
        }
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}
