//! config.toml as types: every setting with its default and its checks.
//!
//! The committed `config.toml` is the manual; a test holds it equal to [`Config::default`]. A value comes from four places, of which
//! later ones override earlier ones: the defaults, the file, the environment (`RESIZED_CACHE__MEMORY=1GiB` sets
//! `cache.memory`) and the command line. An unknown key or an invalid value is an error that names the key; values are never
//! clamped. This module depends on no other part of the program.

mod check;
mod error;
mod layers;
mod nonzero;
mod secret;
mod sections;
mod serde_with;
mod settings;
mod store_address;
mod tuning;

#[cfg(test)]
mod tests;

pub use error::ConfigError;
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
pub use settings::Config;
pub use store_address::{StoreAddress, StoreAddressError};
pub use tuning::{SpanExport, Tuning};
