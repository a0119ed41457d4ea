//! Layers of settings: the defaults, the file, the environment and the command line. Later layers override earlier
//! ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use self::deserialize::{ValueError, ValueProblem};
use self::file::SettingsFile;
use self::keys::{DEFAULTS, RESTART_REQUIRED, variable};
use super::check;
use crate::config::error::{ConfigError, InvalidSetting};
use crate::config::secret::SECRETS;
use crate::config::settings::Config;

mod deserialize;
mod file;
pub(super) mod keys;

/// Settings from the command line: keys, such as `cache.memory`, and their values as text.
#[derive(Debug, Clone, Default)]
pub struct CliOverrides(Vec<(String, String)>);

impl CliOverrides {
    /// Sets `key` to `text`, which is parsed like the value of an environment variable.
    pub fn set(&mut self, key: &str, text: &str) {
        self.0.push((key.to_owned(), text.to_owned()));
    }
}

/// The source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    Default,
    File {
        path: PathBuf,
        line: Option<usize>,
    },
    /// The variable's name.
    Environment(String),
    CommandLine,
}

impl ValueSource {
    /// Formats the source for an error message, where it follows the key.
    fn after_key(&self) -> String {
        match self {
            Self::Default => String::new(),
            Self::File { path, line: Some(line) } => format!(" in {}, line {line}", path.display()),
            Self::File { path, line: None } => format!(" in {}", path.display()),
            Self::Environment(variable) => format!(" from {variable}"),
            Self::CommandLine => " on the command line".to_owned(),
        }
    }
}

/// The values from one source.
#[derive(Debug, Clone)]
struct Layer {
    kind: LayerKind,
    values: Table,
}

#[derive(Debug, Clone)]
enum LayerKind {
    File { path: PathBuf, lines: BTreeMap<String, usize> },
    Environment,
    CommandLine,
}

impl Layer {
    fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let SettingsFile { values, lines } = SettingsFile::read(path)?;
        Ok(Self { kind: LayerKind::File { path: path.to_owned(), lines }, values })
    }

    fn from_environment() -> Self {
        let mut values = Table::new();
        for (name, text) in std::env::vars_os() {
            if let Some(key) = name.to_str().and_then(keys::key_of_variable) {
                keys::set(&mut values, &key, value_from_text(&key, &text.to_string_lossy()));
            }
        }
        Self { kind: LayerKind::Environment, values }
    }

    fn from_command_line(overrides: &CliOverrides) -> Self {
        let mut values = Table::new();
        for (key, text) in &overrides.0 {
            keys::set(&mut values, key, value_from_text(key, text));
        }
        Self { kind: LayerKind::CommandLine, values }
    }

    fn source(&self, key: &str) -> ValueSource {
        match &self.kind {
            LayerKind::File { path, lines } => ValueSource::File { path: path.clone(), line: lines.get(key).copied() },
            LayerKind::Environment => ValueSource::Environment(variable(key)),
            LayerKind::CommandLine => ValueSource::CommandLine,
        }
    }
}

/// Parses `text` from the environment or the command line as the value of `key`. Text is written with or without
/// quotes; values of other types are written as in TOML.
fn value_from_text(key: &str, text: &str) -> Value {
    let is_text = matches!(keys::get(&DEFAULTS, key), None | Some(Value::String(_)));
    match text.trim().parse() {
        Ok(value @ Value::String(_)) => value,
        Ok(value) if !is_text => value,
        _ => text.into(),
    }
}

impl Config {
    /// Reads the defaults, `file` (if given) and the environment.
    ///
    /// # Errors
    /// See [`Layers::load`] and [`Layers::config`].
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Layers::load(file, &CliOverrides::default())?.config()
    }
}

/// The settings from all sources, and the merged result.
#[derive(Debug, Clone)]
pub struct Layers {
    /// Ordered from the file to the command line. A later layer overrides earlier ones.
    layers: Vec<Layer>,
    merged: Table,
}

impl Layers {
    /// Reads `file` (if given, it must exist), the environment and `overrides`.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML, or a secret is set in the file or on the command line instead of in the
    /// environment.
    pub fn load(file: Option<&Path>, overrides: &CliOverrides) -> Result<Self, ConfigError> {
        let mut layers = Vec::new();
        if let Some(file) = file {
            layers.push(Layer::from_file(file)?);
        }
        layers.push(Layer::from_environment());
        layers.push(Layer::from_command_line(overrides));
        for layer in layers.iter().filter(|layer| !matches!(layer.kind, LayerKind::Environment)) {
            if let Some(error) = exposed_secret(&layer.values) {
                return Err(error.at(&layer.source(error.key).after_key()));
            }
        }
        let mut merged = DEFAULTS.clone();
        layers.iter().for_each(|layer| merge(&mut merged, &layer.values));
        Ok(Self { layers, merged })
    }

    /// Deserializes and checks the settings.
    ///
    /// # Errors
    /// An unknown key, a value of the wrong type, or values that contradict each other.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let config: Config = deserialize::from_table(&self.merged).map_err(|error| self.explain(error))?;
        check::check(&config).map_err(|error| error.at(&self.source(error.key).after_key()))?;
        Ok(config)
    }

    /// Returns these settings with the values of `running` for all keys of [`RESTART_REQUIRED`], and those keys whose
    /// values differ.
    #[must_use]
    pub fn keeping_restart_required(&self, running: &Self) -> (Self, Vec<&'static str>) {
        let (mut kept, mut differing) = (self.clone(), Vec::new());
        for key in RESTART_REQUIRED {
            let Some(now) = keys::get(&running.merged, key) else { continue };
            if keys::get(&kept.merged, key) == Some(now) {
                continue;
            }
            let mut next = kept.clone();
            keys::set(&mut next.merged, key, now.clone());
            // The values are compared, not their spellings: "1MiB" equals "1 MiB".
            let parsed = |layers: &Self| deserialize::from_table::<Config>(&layers.merged).ok();
            if parsed(&next) != parsed(&kept) {
                differing.push(*key);
            }
            kept = next;
        }
        (kept, differing)
    }

    /// Returns the source of the value of `key`, such as `cache.memory`.
    #[must_use]
    pub fn source(&self, key: &str) -> ValueSource {
        let layer = self.layers.iter().rev().find(|layer| keys::get(&layer.values, key).is_some());
        layer.map_or(ValueSource::Default, |layer| layer.source(key))
    }

    /// Returns the source of the value at `path`. For a path into a list this is the source of the whole list.
    fn source_of_path(&self, path: &[String]) -> ValueSource {
        let outside_lists = path.iter().take_while(|part| part.parse::<usize>().is_err());
        let list = outside_lists.map(String::as_str).collect::<Vec<_>>().join(".");
        let source = self.source(&list);
        let ValueSource::File { path: file, line } = source else { return source };
        let lines = self.layers.iter().find_map(|layer| match &layer.kind {
            LayerKind::File { lines, .. } => Some(lines),
            _ => None,
        });
        let line = lines.and_then(|lines| lines.get(&path.join("."))).copied().or(line);
        ValueSource::File { path: file, line }
    }

    fn explain(&self, error: ValueError) -> ConfigError {
        let mut path = error.path;
        match error.problem {
            ValueProblem::Invalid(problem) => {
                ConfigError::Invalid { key: path.join("."), place: self.source_of_path(&path).after_key(), problem }
            }
            ValueProblem::UnknownKey { key: name, known } => {
                let is_in_list = path.iter().any(|part| part.parse::<usize>().is_ok());
                let full = |name: &str| path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
                let key = full(&name);
                let advice = match keys::nearest(&key, known.iter().map(|name| full(name))) {
                    Some(nearest) if is_in_list => format!("did you mean {nearest}?"),
                    Some(nearest) => format!("did you mean {nearest} ({})?", variable(&nearest)),
                    None => "config.toml in the repository describes every setting".to_owned(),
                };
                path.push(name);
                ConfigError::Unknown { key, place: self.source_of_path(&path).after_key(), advice }
            }
        }
    }
}

/// Overrides the values of `into` with those of `from`, key by key.
fn merge(into: &mut Table, from: &Table) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Returns an error if `values`, from the file or the command line, contain a secret. Backups and repositories copy the
/// file, and process lists show the command line.
fn exposed_secret(values: &Table) -> Option<InvalidSetting> {
    let is_empty = |value: &Value| value.as_str().is_some_and(str::is_empty);
    let key = SECRETS.iter().find(|key| keys::get(values, key).is_some_and(|value| !is_empty(value)))?;
    let problem = format!("is a secret; set it by the environment variable {} only", variable(key));
    Some(InvalidSetting { key, problem })
}
