//! config.toml as types: every setting with its default and its checks.
//!
//! The committed `config.toml` is the manual; a test holds it equal to [`Config::default`]. A value comes from four places, of which
//! later ones override earlier ones: the defaults, the file, the environment (`RESIZED_CACHE__MEMORY=1GiB` sets
//! `cache.memory`) and the command line. An unknown key or an invalid value is an error that names the key; values are never
//! clamped. This module depends on no other part of the program.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod check;
mod layers;
mod secret;
mod sections;
mod serde_with;
mod store_address;
mod tuning;

#[cfg(test)]
mod tests;

pub use layers::keys::{RESTART_REQUIRED, variable};
pub use layers::{CliOverrides, Layers, ValueSource};
pub use secret::{SECRETS, Secret};
pub use sections::answers::{AdditionalHeaders, Answers, Formats, Mode, Urls};
pub use sections::rates::Rates;
pub use sections::server::{AccessFormat, Admin, Log, LogFormat, Server, Tls};
pub use sections::signing::{Require, Signing};
pub use sections::sizes::{SizePolicy, Sizes, SizesBelow};
pub use sections::stores::{Originals, S3, Serve, Variants};
pub use sections::traces::Traces;
pub use sections::upload::{Notify, Overwrite, Upload, UploadToken};
pub use sections::work::{Cache, Fleet, Incomplete, Limits, Overload, Work};
pub use store_address::{StoreAddress, StoreAddressError};
pub use tuning::{SpanExport, Tuning};

/// Everything an operator can set.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub answers: Answers,
    pub originals: Originals,
    pub variants: Variants,
    pub s3: S3,
    pub urls: Urls,
    /// Named sizes: `small = "300x300_crop"` makes `photo_small.jpg` mean `photo_300x300_crop.jpg`.
    pub presets: BTreeMap<String, String>,
    /// Sizes that URLs may request.
    pub sizes: Sizes,
    pub signing: Signing,
    pub formats: Formats,
    pub limits: Limits,
    pub cache: Cache,
    pub work: Work,
    pub fleet: Fleet,
    pub rates: Rates,
    pub log: Log,
    pub traces: Traces,
    pub admin: Admin,
    pub upload: Upload,
    pub notify: Notify,
}

/// Settings that cannot be used.
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

impl Config {
    /// Defaults, then the file (if given), then the environment.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, a value of the wrong shape, or values that contradict each other.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Layers::load(file, &CliOverrides::default())?.config()
    }
}

fn nonzero(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}
