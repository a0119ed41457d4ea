//! Nonzero constants.

use std::num::NonZeroUsize;

/// Converts a constant, which must not be 0.
pub(super) const fn nonzero(n: usize) -> NonZeroUsize {
    match NonZeroUsize::new(n) {
        Some(n) => n,
        None => NonZeroUsize::MIN,
    }
}
