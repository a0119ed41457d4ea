//! The size limit of originals.

use crate::error::{Error, damaged};
use crate::limits::Limits;

/// Maximum length of a side of an original. Decoders hold some rows, so their memory grows with the width even if the
/// height is 1. Real pictures are far below: JPEG, WebP and GIF cannot exceed 65,535.
pub(crate) const SIDE_MAX: u32 = 1 << 20;

/// Checks the size of an original.
///
/// # Errors
/// The image has no pixels, a side longer than [`SIDE_MAX`], or more pixels than `limits.input_pixels`.
pub(crate) fn check_pixels((width, height): (u32, u32), limits: &Limits) -> Result<(), Error> {
    if width == 0 || height == 0 {
        return Err(damaged("it has no pixels"));
    }
    if u64::from(width) * u64::from(height) > limits.input_pixels {
        return Err(Error::TooManyPixels { width, height, pixels_max: limits.input_pixels });
    }
    if width.max(height) > SIDE_MAX {
        return Err(Error::SideTooLong { width, height, side_max: SIDE_MAX });
    }
    Ok(())
}
