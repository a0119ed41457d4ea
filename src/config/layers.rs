//! Where values come from: the defaults, the file, the environment and the command line, the later one winning.

use std::path::{Path, PathBuf};

use figment::error::Kind;
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{Config, ConfigError, check, secret};

/// What the names of environment variables begin with.
const PREFIX: &str = "RESIZED_";
/// What stands between a section and its key there.
const DEPTH: &str = "__";
/// How figment is told of what was typed.
const TYPED: &str = "the command line";

/// Sections and keys that only a restart changes: those of sockets, stores, memory, threads and queues.
pub const FIXED: &[&str] = &[
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
    "cache.memory",
    "work.threads",
    "work.download_memory",
    "work.pixel_memory",
    "work.queue_time",
    "work.queue_length",
    "work.write_back_memory",
    "work.flights",
    "fleet",
    "log.format",
    "log.access",
    "log.access_format",
    "log.access_hits",
    "log.access_sample",
    "traces.endpoint",
    "traces.headers",
    "traces.service",
    "traces.timeout",
    "traces.queue",
    "traces.batch",
    "traces.interval",
    "admin.listen",
    "notify",
];

/// The settings as they were found, one place above the other.
#[derive(Debug, Clone)]
pub struct Layers {
    figment: Figment,
}

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    /// The variable's name.
    Environment(String),
    CommandLine,
}

/// Keys and values from the command line.
#[derive(Debug, Clone, Default)]
pub struct Typed(Vec<(String, Value)>);

impl Typed {
    /// Sets `key`, such as `cache.memory`, to `text` as it stands.
    pub fn text(&mut self, key: &str, text: &str) {
        self.0.push((key.to_owned(), Value::from(text)));
    }

    /// Sets `key` to what `text` says: a number, `true`, `[1, 2]` or else a text, as in an environment variable.
    pub fn value(&mut self, key: &str, text: &str) {
        let Ok(value) = text.parse();
        self.0.push((key.to_owned(), value));
    }
}

impl Provider for Typed {
    fn metadata(&self) -> Metadata {
        Metadata::named(TYPED).interpolater(|_, keys: &[&str]| keys.join("."))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        self.0.iter().for_each(|(key, value)| insert(&mut dict, key, value.clone()));
        Ok(Map::from([(Profile::Default, dict)]))
    }
}

/// Sets `a.b` to a value in the table `a` of a table.
fn insert(dict: &mut Dict, key: &str, value: Value) {
    let Some((section, rest)) = key.split_once('.') else {
        dict.insert(key.to_owned(), value);
        return;
    };
    let mut inner = dict.remove(section).and_then(Value::into_dict).unwrap_or_default();
    insert(&mut inner, rest, value);
    dict.insert(section.to_owned(), inner.into());
}

impl Layers {
    /// Finds what is set; `file` has to be there if it is named.
    ///
    /// # Errors
    /// A file that is no TOML, or a secret where backups, repositories or lists of processes would spread it.
    pub fn find(file: Option<&Path>, typed: Typed) -> Result<Self, ConfigError> {
        secret::refuse_in(&Figment::from(&typed))?;
        let mut figment = Figment::from(Serialized::defaults(Config::default()));
        if let Some(file) = file {
            secret::refuse_in(&Figment::from(Toml::file_exact(file)))?;
            figment = figment.merge(Toml::file_exact(file));
        }
        Ok(Self { figment: figment.merge(Env::prefixed(PREFIX).split(DEPTH)).merge(typed) })
    }

    /// The settings, checked.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, a value of the wrong shape, or values that contradict each other.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let config: Config =
            self.figment.extract().map_err(|error| self.unknown(&error).unwrap_or_else(|| Box::new(error).into()))?;
        check::check(&config)?;
        Ok(config)
    }

    /// These with what `running` has under the keys of [`FIXED`], and those of them that differ.
    #[must_use]
    pub fn fixed_as(&self, running: &Self) -> (Self, Vec<&'static str>) {
        let (mut fixed, mut differing) = (self.clone(), Vec::new());
        for key in FIXED {
            let values = (fixed.figment.find_value(key), running.figment.find_value(key));
            let (Ok(next), Ok(now)) = values else { continue };
            if next == now {
                continue;
            }
            let with = Self { figment: fixed.figment.clone().merge(Serialized::default(key, now)) };
            // "1MiB" and "1 MiB" are the same.
            let is_other = |layers: &Self| layers.figment.extract::<Config>().ok();
            if is_other(&with) != is_other(&fixed) {
                differing.push(*key);
            }
            fixed = with;
        }
        (fixed, differing)
    }

    /// Where the value of `key` was found, by its full name: `cache.memory`.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        let Some(metadata) = self.figment.find_metadata(key) else { return Origin::Default };
        match metadata.source.as_ref().and_then(|source| source.file_path()) {
            Some(file) => Origin::File(file.to_owned()),
            None if metadata.name == TYPED => Origin::CommandLine,
            None if metadata.name.contains(PREFIX) => Origin::Environment(variable(key)),
            None => Origin::Default,
        }
    }

    /// The error of a key that does not exist, if that is what is wrong, with the key that may have been meant.
    fn unknown(&self, error: &figment::Error) -> Option<ConfigError> {
        error.clone().into_iter().find_map(|error| {
            let Kind::UnknownField(field, expected) = error.kind else { return None };
            // The path ends in the key itself, but in a list.
            let parent = match error.path.split_last() {
                Some((last, parent)) if *last == field => parent.join("."),
                _ => error.path.join("."),
            };
            let full = |name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
            let key = full(&field);
            let list = error.path.iter().take_while(|part| part.parse::<usize>().is_err());
            let list = &list.map(String::as_str).collect::<Vec<_>>().join(".");
            let is_in_list = error.path.iter().any(|part| part.parse::<usize>().is_ok());
            let mut candidates: Vec<_> = expected.iter().map(|name| full(name)).collect();
            candidates.extend(known());
            let advice = match nearest(&key, &candidates) {
                Some(nearest) if is_in_list => format!("did you mean {nearest}?"),
                Some(nearest) => format!("did you mean {nearest} ({})?", variable(nearest)),
                None => "config.toml, the manual, names all there are".to_owned(),
            };
            // A list is set as a whole.
            let place = match self.origin(if is_in_list { list } else { &key }) {
                Origin::File(file) => format!(" in {}", file.display()),
                Origin::Environment(variable) => format!(" by {variable}"),
                Origin::CommandLine => format!(" by {TYPED}"),
                Origin::Default => String::new(),
            };
            Some(ConfigError::Unknown { key, place, advice })
        })
    }
}

/// The environment variable that sets `key`, such as `cache.memory`.
#[must_use]
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', DEPTH).to_ascii_uppercase())
}

/// Every section and key there is.
fn known() -> Vec<String> {
    fn walk(prefix: &str, dict: &Dict, keys: &mut Vec<String>) {
        for (name, value) in dict {
            let key = format!("{prefix}{name}");
            if let Some(dict) = value.as_dict() {
                walk(&format!("{key}."), dict, keys);
            }
            keys.push(key);
        }
    }
    let mut keys = Vec::new();
    if let Ok(dict) = Figment::from(Serialized::defaults(Config::default())).extract::<Dict>() {
        walk("", &dict, &mut keys);
    }
    keys
}

/// How alike two keys have to be, of 1, for the one to be meant by the other.
const ALIKE: f64 = 0.75;

/// The candidate most like `key`; else one that is called so in another section.
fn nearest<'a>(key: &str, candidates: &'a [String]) -> Option<&'a str> {
    let alike = |candidate: &'a String| (strsim::normalized_damerau_levenshtein(key, candidate), candidate);
    let best = candidates.iter().map(alike).max_by(|(a, _), (b, _)| a.total_cmp(b));
    let name = |key: &'a str| key.rsplit('.').next();
    let elsewhere = || candidates.iter().find(|candidate| name(candidate) == key.rsplit('.').next());
    best.filter(|(alike, _)| *alike >= ALIKE).map(|(_, best)| best).or_else(elsewhere).map(String::as_str)
}
