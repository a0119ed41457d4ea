//! `resized config`: prints the settings and their sources.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use resized::config::ValueSource;
use resized::support::url_secrets::mask_url;
use toml::{Table, Value};

use super::{Settings, print};

mod reference;

/// Print all settings and their sources
///
/// The output is TOML and can be used as config.toml. The comment after each value names its source: default, the file, the
/// environment variable, or the command line. Secrets are masked.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print only settings that differ from the default
    #[arg(long)]
    changed: bool,
    /// Print the reference of all settings as Markdown instead
    #[arg(long, conflicts_with = "changed")]
    reference: bool,
}

pub(super) fn run(
    arguments: &Arguments,
    settings: impl FnOnce() -> anyhow::Result<Settings>,
) -> anyhow::Result<ExitCode> {
    if arguments.reference {
        print::text(reference::markdown());
        return Ok(ExitCode::SUCCESS);
    }
    let settings = settings()?;
    let table = Table::try_from(&settings.config).context("the settings cannot be written as TOML")?;
    let mut sections = String::new();
    print_section(&mut sections, "", &table, &|key| {
        let source = settings.layers.source(key);
        (!arguments.changed || source != ValueSource::Default).then(|| describe(&source))
    });
    print::text(sections.trim_start());
    Ok(ExitCode::SUCCESS)
}

/// The column at which comments start, unless the value is longer.
const COLUMN: usize = 48;

/// Appends the keys of a section and of the sections in it. `source` returns the source of a key, or `None` to omit the key.
fn print_section(text: &mut String, name: &str, table: &Table, source: &impl Fn(&str) -> Option<String>) {
    let key = |child: &str| if name.is_empty() { child.to_owned() } else { format!("{name}.{child}") };
    let mut lines = String::new();
    for (child, value) in table.iter().filter(|(_, value)| !value.is_table()) {
        let Some(source) = source(&key(child)) else { continue };
        let line = format!("{} = {}", quoted(child), masked(value));
        lines.push_str(&format!("{line:<COLUMN$}  # {source}\n"));
    }
    if !lines.is_empty() {
        let head = if name.is_empty() { String::new() } else { format!("[{name}]\n") };
        text.push_str(&format!("\n{head}{lines}"));
    }
    for (child, value) in table {
        if let Value::Table(table) = value {
            print_section(text, &key(child), table, source);
        }
    }
}

/// Masks the secrets in URLs.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) if text.contains("://") => mask_url(text).as_ref().into(),
        Value::Array(values) => values.iter().map(masked).collect::<Vec<_>>().into(),
        other => other.clone(),
    }
}

/// Formats a TOML key, quoted only if necessary.
fn quoted(key: &str) -> String {
    let is_bare = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if is_bare && !key.is_empty() { key.to_owned() } else { Value::from(key).to_string() }
}

fn describe(source: &ValueSource) -> String {
    match source {
        ValueSource::Default => "default".to_owned(),
        ValueSource::File { path, .. } => path.display().to_string(),
        ValueSource::Environment(variable) => variable.clone(),
        ValueSource::CommandLine => "command line".to_owned(),
    }
}
