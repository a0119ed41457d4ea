//! The reference of all settings: config.toml, which a test holds equal to the defaults, with what the code knows of each.

use clap::CommandFactory;
use resized::config::{RESTART_REQUIRED, SECRETS, variable};

use crate::cli::Cli;

/// Every section and key with its default, and comments that say what it does.
const MANUAL: &str = include_str!("../../../config.toml");

const HEAD: &str = "\
# Settings

Made of [config.toml](../config.toml) and the code; a test holds it equal to them. After a change there:

```sh
just reference     # cargo run -- config --reference > docs/CONFIG.md
```

A value is looked for in the file (`--config FILE`, else `config.toml` in the working directory), then in the environment, then
among the flags; what is found last wins. `--set` sets any: `--set cache.memory=1GiB`. Lists and tables are written in the
environment and behind `--set` as in the file: `RESIZED_FORMATS__NEGOTIATE='[\"avif\", \"webp\"]'`. `resized config` prints every
value and where it was set.

Sizes are bytes, with a unit if you like: `\"64MiB\"`. Times have a unit: `\"250ms\"`, `\"10s\"`, `\"5m\"`. An unknown key is an
error that names the nearest; a value that cannot be used is an error that names its key; nothing is clamped.

A change of what says *reload* is taken out of the file by SIGHUP or `POST /reload`, without dropping a request; of what says
*restart*, and of the environment and the flags, by a restart: [RESTARTS.md](RESTARTS.md).
";

const COLUMNS: &str = "
| key | default | set by | changed by | what |
|---|---|---|---|---|
";

/// All of it as Markdown.
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
            // Keys that stand together share a comment.
            if !comment.is_empty() {
                described = std::mem::take(&mut comment);
            }
            text.push_str(&row(&format!("{section}.{key}"), default, &described));
        } else {
            // What stands apart describes neither section nor key.
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

/// Whether only a restart changes it: a reload cannot, or does not see the environment anew.
fn is_fixed(key: &str) -> bool {
    RESTART_REQUIRED
        .iter()
        .chain(SECRETS)
        .any(|fixed| key.strip_prefix(fixed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The flag that names `key` in its help.
fn flag(key: &str) -> Option<String> {
    let command = Cli::command();
    let named = format!("({key})");
    let mut flags = command.get_arguments();
    let flag = flags.find(|flag| flag.get_help().is_some_and(|help| help.to_string().contains(&named)))?;
    flag.get_long().map(str::to_owned)
}
