//! Reads requests: validation, path, signature, accepted formats and preconditions.

pub(super) mod negotiate;
pub(super) mod path_cache;
pub(super) mod preconditions;
pub(super) mod signature;
pub(super) mod validation;
