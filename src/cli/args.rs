//! Arguments that several commands share.

pub(super) mod settings;
pub(super) mod sizes;
