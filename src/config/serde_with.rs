//! Modules for `#[serde(with = "...")]`: how single values are written in config.toml.

pub(super) mod codecs;
pub(super) mod formats;
pub(super) mod header_name;
pub(super) mod header_value;
pub(super) mod optional;
pub(super) mod optional_header_value;
pub(super) mod quality;
pub(super) mod redirect_status;
