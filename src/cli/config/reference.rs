//! The reference of all settings, generated from config.toml and the code. A test checks that config.toml contains the defaults.

use clap::CommandFactory;
use resized::config::{RESTART_REQUIRED, SECRETS, variable};

use crate::cli::Cli;

/// Every section and key with its default value and a comment.
const MANUAL: &str = include_str!("../../../config.toml");

const HEAD: &str = "\
# Settings

Generated from [config.toml](../config.toml) and the code. After a change run:

```sh
just reference     # cargo run -- config --reference > docs/CONFIG.md
```

The file (`--config FILE`, by default `config.toml` in the working directory) overrides the defaults, the environment overrides
the file, and flags override both. `--set` accepts any setting: `--set cache.memory=1GiB`. Lists and tables have the same syntax in
the environment and after `--set` as in the file: `RESIZED_FORMATS__NEGOTIATE='[\"avif\", \"webp\"]'`. `resized config` prints every
value and its source.

Sizes are in bytes, with an optional unit: `\"64MiB\"`. Times need a unit: `\"250ms\"`, `\"10s\"`, `\"5m\"`. An unknown key is an error
that suggests the most similar key, and an invalid value is an error that names its key. Values are never clamped.

SIGHUP or `POST /reload` applies changes in the file to settings marked *reload* without dropping a request. Settings marked
*restart*, the environment and the flags need a restart: [RESTARTS.md](RESTARTS.md).
";

const COLUMNS: &str = "
| key | default | set by | changed by | description |
|---|---|---|---|---|
";

/// Generates the reference as Markdown.
pub(super) fn markdown() -> String {
    let mut text = HEAD.to_owned();
    let (mut section, mut comment, mut described) = ("", String::new(), String::new());
    for line in MANUAL.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            comment = format!("{comment} {words}").trim_start().to_owned();
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
            text.push_str(&format!("\n## [{section}]\n"));
            if !comment.is_empty() {
                text.push_str(&format!("\n{comment}\n"));
            }
            (comment, described) = Default::default();
        } else if let Some((key, default)) = line.split_once(" = ") {
            if !text.ends_with("|\n") {
                text.push_str(COLUMNS);
            }
            // Consecutive keys share a comment.
            if !comment.is_empty() {
                described = std::mem::take(&mut comment);
            }
            text.push_str(&row(
                &if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") },
                default,
                &described,
            ));
        } else {
            // A blank line ends a comment that describes neither a section nor a key.
            comment.clear();
        }
    }
    text
}

fn row(key: &str, default: &str, described: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let flag = flag(key).map_or(String::new(), |flag| format!(", `--{flag}`"));
    let changed = if is_fixed(key) { "restart" } else { "reload" };
    let described = described.replace('|', "\\|");
    format!("| `{name}` | `{default}` | `{}`{flag} | {changed} | {described} |\n", variable(key))
}

/// True if a change of `key` needs a restart. Secrets are set by the environment, which a reload does not read again.
fn is_fixed(key: &str) -> bool {
    RESTART_REQUIRED
        .iter()
        .chain(SECRETS)
        .any(|fixed| key.strip_prefix(fixed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The flag whose help text names `key`.
fn flag(key: &str) -> Option<String> {
    let command = Cli::command();
    let named = format!("({key})");
    let mut flags = command.get_arguments();
    let flag = flags.find(|flag| flag.get_help().is_some_and(|help| help.to_string().contains(&named)))?;
    flag.get_long().map(str::to_owned)
}
