//! The keys of settings: their names, the keys that need a restart, and suggestions for misspelled keys.

use std::sync::LazyLock;

use toml::{Table, Value};

use crate::config::settings::Config;

/// Prefix of the environment variables that set values.
pub(in crate::config) const PREFIX: &str = "RESIZED_";
/// Separates a section from a key in the name of an environment variable.
const SEPARATOR: &str = "__";

/// Sections and keys whose changes need a restart, because sockets, stores, memory, threads and queues are created
/// once.
pub const RESTART_REQUIRED: &[&str] = &[
    "memory",
    "server.listen",
    "server.threads",
    "server.connections",
    "server.idle_timeout",
    "server.drain_timeout",
    "originals.store",
    "originals.public_url",
    "variants.store",
    "variants.public_url",
    "s3",
    "limits.original_bytes",
    "cache.memory",
    "work.threads",
    "work.download_memory",
    "work.pixel_memory",
    "work.queue_time",
    "work.write_back_memory",
    "fleet",
    "log.format",
    "log.access",
    "log.access_format",
    "log.access_hits",
    "log.access_sample",
    "traces.endpoint",
    "traces.headers",
    "traces.service",
    "admin.listen",
    "notify",
];

/// Every setting with its default.
pub(in crate::config) static DEFAULTS: LazyLock<Table> =
    LazyLock::new(|| Table::try_from(Config::default()).unwrap_or_else(|error| unreachable!("the defaults: {error}")));

/// The environment variable that sets `key`, such as `cache.memory`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', SEPARATOR).to_ascii_uppercase())
}

/// The key that the environment variable `name` sets, if it sets one.
pub(in crate::config) fn key_of_variable(name: &str) -> Option<String> {
    let (prefix, key) = name.split_at_checked(PREFIX.len())?;
    prefix.eq_ignore_ascii_case(PREFIX).then(|| key.to_ascii_lowercase().replace(SEPARATOR, "."))
}

/// The value of `key`, such as `cache.memory`.
pub(in crate::config) fn get<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((section, rest)) => get(table.get(section)?.as_table()?, rest),
    }
}

/// Sets `key`, such as `cache.memory`, and creates missing tables.
pub(in crate::config) fn set(table: &mut Table, key: &str, value: Value) {
    let Some((section, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    let inner = table.entry(section).or_insert_with(|| Table::new().into());
    if !inner.is_table() {
        *inner = Table::new().into();
    }
    if let Value::Table(inner) = inner {
        set(inner, rest, value);
    }
}

/// Every section and key.
fn all() -> Vec<String> {
    fn collect(prefix: &str, table: &Table, keys: &mut Vec<String>) {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            if let Value::Table(table) = value {
                collect(&format!("{key}."), table, keys);
            }
            keys.push(key);
        }
    }
    let mut keys = Vec::new();
    collect("", &DEFAULTS, &mut keys);
    keys
}

/// Former names of keys, each with the key that replaces it.
const REPLACED: [(&str, &str); 3] = [
    ("variants_per_client", "rates.cpu_per_client"),
    ("variants_per_original", "rates.cpu_per_original"),
    ("avif_originals", "formats.originals"),
];

/// Minimum similarity, from 0 to 1, at which a key counts as a misspelling of another.
const SIMILARITY_MIN: f64 = 0.75;

/// Returns the known key most similar to the unknown `key`, or else a key of the same name in another section.
/// `siblings` are the known keys in the section of `key`.
pub(in crate::config) fn nearest(key: &str, siblings: impl IntoIterator<Item = String>) -> Option<String> {
    let is_replaced = |(former, _): &&(&str, &str)| key.rsplit('.').next() == Some(former);
    if let Some((_, replacement)) = REPLACED.iter().find(is_replaced) {
        return Some((*replacement).to_owned());
    }
    let candidates: Vec<_> = siblings.into_iter().chain(all()).collect();
    let similarity = |candidate: &&String| strsim::normalized_damerau_levenshtein(key, candidate);
    let best = candidates.iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    let name = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let elsewhere = || candidates.iter().find(|candidate| name(candidate) == name(key));
    best.filter(|best| similarity(best) >= SIMILARITY_MIN).or_else(elsewhere).cloned()
}
