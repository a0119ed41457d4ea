//! The documentation matches the code.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use resized::config::Config;
use resized::variant::{Grammar, NearMiss, ParsedPath, SizeDecision};

const URLS: &str = include_str!("../docs/URLS.md");

/// The original and the meaning of a path, as in the last two cells of a row of docs/URLS.md.
fn meaning(grammar: &Grammar, path: &str) -> (String, String) {
    let addressed = match grammar.parse(path) {
        Err(error) => return ("none".to_owned(), format!("400: {error}")),
        Ok(ParsedPath::Object(key, NearMiss::None)) => return (format!("`{key}`"), "as it is".to_owned()),
        Ok(ParsedPath::Object(key, NearMiss::SideTooLarge)) => {
            return (format!("`{key}`"), "as it is: a side is too long".to_owned());
        }
        Ok(ParsedPath::Variant(addressed)) => addressed,
    };
    let (original, key) = (&addressed.variant.original, addressed.variant.storage_key());
    let answer = match &addressed.size_decision {
        SizeDecision::Allowed => format!("`{}`", key.as_str().strip_prefix(&format!("{original}/")).unwrap()),
        SizeDecision::RedirectTo(to) => format!("301 to `{}`", grammar.canonical_path(to)),
        SizeDecision::Refused(nearest) => format!("404 that names `{}`", grammar.canonical_path(nearest)),
    };
    (format!("`{original}`"), answer)
}

fn grammar(settings: &str) -> Grammar {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings).unwrap();
    Grammar::new(&Config::load(Some(file.path())).unwrap()).unwrap()
}

#[test]
fn paths_in_the_url_reference_have_the_documented_meaning() {
    let mut rows = 0;
    for section in URLS.split("\n#") {
        let settings = section.split_once("```toml\n").map_or("", |(_, rest)| rest.split_once("```").unwrap().0);
        let grammar = grammar(settings);
        for row in section.lines().filter(|line| line.starts_with("| `/")) {
            let [_, path, original, answer, _] = row.split('|').map(str::trim).collect::<Vec<_>>()[..] else {
                panic!("{row}");
            };
            let (is_of, is) = meaning(&grammar, path.trim_matches('`'));
            assert_eq!(is_of, original, "{row}");
            // Error messages continue with advice that the table does not repeat.
            assert!(is == answer || answer.starts_with("400: ") && is.starts_with(answer), "{row}: {is}");
            rows += 1;
        }
    }
    assert!(rows > 60, "the tables were not found");
}

#[test]
fn the_formats_page_lists_every_format_of_originals() {
    use pixels::Codec;
    let page = include_str!("../docs/FORMATS.md");
    let row = |codec: Codec| {
        let feature = codec.feature().map_or("always built in".to_owned(), |feature| format!("`{feature}`"));
        let place = if codec.is_sandboxed() { "process" } else { "server" };
        let setting = if codec == Codec::Svg { "formats.svg = true" } else { codec.extension() };
        format!("| {} | `{setting}` | {feature} | {place} |", codec.name())
    };
    let expected = Codec::ALL.map(row).join("\n");
    assert!(page.contains(&format!("|---|---|---|---|\n{expected}\n\n")), "docs/FORMATS.md should contain\n{expected}");
}

#[test]
fn the_settings_reference_is_up_to_date() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_resized"));
    // The reference is printed even if a setting is invalid.
    command.args(["config", "--reference"]).env("RESIZED_CACHE__MEMROY", "1GiB");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let is = include_str!("../docs/CONFIG.md");
    assert!(output.stdout == is.as_bytes(), "run: just reference");
}

#[test]
fn the_operating_guide_has_a_section_for_each_alert() {
    let (rules, guide) = (include_str!("../deploy/monitoring/alerts.yml"), include_str!("../docs/OPERATING.md"));
    let listed = |text: &'static str, before: &str| -> BTreeSet<_> {
        text.lines().filter_map(|line| line.trim_start().strip_prefix(before)).map(str::trim).collect()
    };
    let alerts = listed(rules, "- alert: ");
    assert!(!alerts.is_empty(), "the alerts were not found");
    let sections = listed(guide, "### ").into_iter().filter(|section| section.starts_with("Resized"));
    assert_eq!(sections.collect::<BTreeSet<_>>(), alerts);
}

/// The anchors that GitHub generates for the headings of a page.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>())
        .map(|heading| heading.replace(' ', "-"))
        .collect()
}

#[test]
fn links_in_the_docs_lead_to_existing_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["", "docs", "docs/decisions", "deploy", "benches", "examples/api-receiver"];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let pages: Vec<_> =
        files.map(|file| file.unwrap().path()).filter(|path| path.extension() == Some("md".as_ref())).collect();
    let mut links = 0;
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for target in targets.filter(|target| !target.starts_with("http") && !target.contains(' ')) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(to.exists(), "{}: {target}", page.display());
            let is_there = || anchors(&std::fs::read_to_string(&to).unwrap()).contains(&anchor.to_owned());
            assert!(anchor.is_empty() || is_there(), "{}: {target}", page.display());
            links += 1;
        }
    }
    assert!(links > 50, "the links were not found");
}
