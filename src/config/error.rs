//! Errors in settings.

use std::path::PathBuf;

/// An error in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{}, line {line}: this is not TOML: {problem}", path.display())]
    Syntax { path: PathBuf, line: usize, problem: String },
    #[error("{key}{place}: there is no such setting; {advice}")]
    Unknown { key: String, place: String, advice: String },
    #[error("{key}{place}: {problem}")]
    Invalid { key: String, place: String, problem: String },
}

/// A setting with an invalid value.
pub(super) struct InvalidSetting {
    pub(super) key: &'static str,
    pub(super) problem: String,
}

impl InvalidSetting {
    /// Returns the error for the operator. Its message contains `place` after the key.
    pub(super) fn at(&self, place: &str) -> ConfigError {
        ConfigError::Invalid { key: self.key.to_owned(), place: place.to_owned(), problem: self.problem.clone() }
    }
}

pub(super) fn refuse(key: &'static str, problem: &str) -> Result<(), InvalidSetting> {
    Err(InvalidSetting { key, problem: problem.to_owned() })
}
