//! The size limit of originals.

use crate::error::{Error, damaged};
use crate::limits::Limits;

/// Checks the size of an original.
///
/// # Errors
/// The image has no pixels, or more than `limits.input_pixels`.
pub(crate) fn check_pixels((width, height): (u32, u32), limits: &Limits) -> Result<(), Error> {
    if width == 0 || height == 0 {
        return Err(damaged("it has no pixels"));
    }
    if u64::from(width) * u64::from(height) > limits.input_pixels {
        return Err(Error::TooManyPixels { width, height, pixels_max: limits.input_pixels });
    }
    Ok(())
}
