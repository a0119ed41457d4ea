//! The sections of config.toml.

pub(super) mod answers;
pub(super) mod rates;
pub(super) mod server;
pub(super) mod signing;
pub(super) mod sizes;
pub(super) mod stores;
pub(super) mod traces;
pub(super) mod upload;
pub(super) mod work;
