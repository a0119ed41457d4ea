//! The settings as types, with their defaults and checks.
//!
//! The `config.toml` in the repository describes every setting. A test checks that its values equal
//! [`Config::default`].
//!
//! A value comes from one of four sources: the defaults, the file, the environment (`RESIZED_CACHE__MEMORY=1GiB` sets
//! `cache.memory`) or the command line. Later sources override earlier ones. An unknown key or an invalid value is an
//! error that names the key; values are never clamped. This module depends on no other part of the program.

mod auto;
mod check;
mod error;
mod layers;
mod memory;
mod nonzero;
mod secret;
mod sections;
mod serde_with;
mod settings;
mod store_address;
mod tuning;

#[cfg(test)]
mod tests;

pub use auto::Auto;
pub use error::ConfigError;
pub use layers::keys::{RESTART_REQUIRED, variable};
pub use layers::{CliOverrides, Layers, ValueSource};
pub use memory::{Memory, MemoryError, MemoryPlan, TABLES_BYTES, VARIANT_BYTES_MAX};
pub use secret::{SECRETS, Secret, TOKEN_BYTES_MAX};
pub use sections::answers::{AdditionalHeaders, Answers, Formats, Mode, Urls};
pub use sections::rates::Rates;
pub use sections::server::{AccessFormat, Admin, Log, LogFormat, Server, Tls};
pub use sections::signing::{Require, Signing};
pub use sections::sizes::{SizePolicy, Sizes, SizesBelow};
pub use sections::stores::{Originals, S3, Serve, Variants};
pub use sections::traces::Traces;
pub use sections::upload::{
    Notify, Overwrite, UPLOAD_PART_BYTES_MIN, UPLOAD_PIECE_BYTES, UPLOAD_SMALL_BYTES_MAX, Upload, UploadToken,
    upload_part_bytes,
};
pub use sections::work::{Cache, Fleet, Incomplete, Limits, Overload, Work};
pub use settings::Config;
pub use store_address::{StoreAddress, StoreAddressError};
pub use tuning::{SpanExport, Tuning};
