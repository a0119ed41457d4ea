//! The snippets in docs/SIGNING.md make valid signatures. Snippets in languages that are not installed are skipped.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::Path;
use std::process::Command;

use resized::config::{Config, Signing};
use resized::variant::{Grammar, Signature, Signer};

#[path = "shared/snippets.rs"]
mod snippets;

use snippets::{run, snippets};

const DOCS: &str = include_str!("../docs/SIGNING.md");
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The paths and expiry times of the test vectors.
fn vectors() -> Vec<(&'static str, &'static str)> {
    let rows = DOCS.lines().filter(|line| line.starts_with("| `/"));
    let cells = rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect::<Vec<_>>());
    cells.map(|cells| (cells[1], if cells[2] == "none" { "" } else { cells[2] })).collect()
}

/// Runs the snippet in `language` on each test vector and verifies the signatures.
#[track_caller]
fn check(
    language: &str,
    file: &str,
    command: &[&str],
    program: impl Fn(&str, String) -> String,
    print: impl Fn(&str) -> String,
) {
    let folder = tempfile::tempdir().unwrap();
    let quoted = |text: &str| format!("\"{text}\"");
    let calls = vectors().into_iter().map(|(path, expires)| print(&[KEY, path, expires].map(quoted).join(", ")));
    let text = program(snippets(DOCS, language)[0], calls.collect::<Vec<_>>().join("\n"));
    std::fs::write(folder.path().join(file), text).unwrap();
    let Some(urls) = run(&[command, &[file]].concat(), folder.path()) else { return };
    let urls: Vec<_> = urls.lines().collect();
    assert_eq!(urls.len(), vectors().len(), "{urls:?}");
    let grammar = Grammar::new(&Config::default()).unwrap();
    let signer = Signer::new(&Signing { keys: KEY.into(), ..Signing::default() }).unwrap();
    for (url, (path, expires)) in urls.iter().zip(vectors()) {
        let (encoded, query) = url.split_once('?').unwrap();
        let parsed = grammar.parse(encoded).unwrap();
        assert_eq!(format!("/{}", parsed.literal_key()), path, "{language}");
        let expected = Signature::Valid { expires: expires.parse().ok() };
        assert_eq!(signer.verify(parsed.literal_key(), Some(query), 0), Ok(expected), "{language}: {url}");
    }
}

/// The snippet followed by the calls.
fn append_calls(snippet: &str, calls: String) -> String {
    format!("{snippet}\n{calls}\n")
}

#[test]
fn the_javascript_snippet_makes_valid_signatures() {
    check("js", "sign.js", &["node"], append_calls, |arguments| format!("console.log(sign_url({arguments}));"));
}

#[test]
fn the_python_snippet_makes_valid_signatures() {
    check("python", "sign.py", &["python3"], append_calls, |arguments| format!("print(sign_url({arguments}))"));
}

#[test]
fn the_php_snippet_makes_valid_signatures() {
    let program = |snippet: &str, calls| append_calls(&format!("<?php\n{snippet}"), calls);
    check("php", "sign.php", &["php"], program, |arguments| format!("echo sign_url({arguments}), \"\\n\";"));
}

#[test]
fn the_ruby_snippet_makes_valid_signatures() {
    check("ruby", "sign.rb", &["ruby"], append_calls, |arguments| format!("puts sign_url({arguments})"));
}

#[test]
fn the_go_snippet_makes_valid_signatures() {
    let program = |snippet: &str, calls| {
        let snippet = snippet.replace("import (", "import (\n\t\"fmt\"");
        format!("{snippet}\nfunc main() {{\n{calls}\n}}\n")
    };
    check("go", "sign.go", &["go", "run"], program, |arguments| format!("fmt.Println(sign_url({arguments}))"));
}

#[test]
fn the_sign_command_makes_valid_signatures() {
    let sign = |urls: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_resized"));
        command.current_dir(Path::new(env!("CARGO_TARGET_TMPDIR"))).env("RESIZED_SIGNING__KEYS", KEY);
        command.args(["sign", "--expires-in", "1h"]).args(urls).output().unwrap()
    };
    let output = sign(&["https://img.example.com/photos/cat_9x9.jpg?v=1", "/a%20b_9x.jpg"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let signed = String::from_utf8(output.stdout).unwrap();
    let signed: Vec<_> = signed.lines().collect();
    assert!(signed[0].starts_with("https://img.example.com/photos/cat_9x9.jpg?v=1&expires="), "{}", signed[0]);
    let grammar = Grammar::new(&Config::default()).unwrap();
    let signer = Signer::new(&Signing { keys: KEY.into(), ..Signing::default() }).unwrap();
    for url in signed {
        let url = url.trim_start_matches("https://img.example.com");
        let (path, query) = url.split_once('?').unwrap();
        let signature = signer.verify(grammar.parse(path).unwrap().literal_key(), Some(query), 0);
        assert!(matches!(signature, Ok(Signature::Valid { expires: Some(_) })), "{url}: {signature:?}");
    }
    let refused = sign(&["/a/../b_9x.jpg"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains(".."));
}
