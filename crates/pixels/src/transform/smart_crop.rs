//! Smart crop: places the crop window over the most salient part of the image.

use std::num::NonZeroU32;

use image::metadata::Orientation;

use crate::error::Error;
use crate::geometry::{Geometry, Region};
use crate::pixels::{Pixels, Window};
use crate::transform::crop::CropWindow;
use crate::transform::orientation::orient;
use crate::transform::saliency;

/// Moves the crop window if `geometry` requests a smart crop. `reduce` scales a window of the stored image to a small
/// size, in sRGB.
///
/// # Errors
/// `reduce` fails.
pub(crate) fn smart_crop(
    crop_window: CropWindow,
    orientation: Orientation,
    geometry: Geometry,
    reduce: impl FnOnce(Window, (NonZeroU32, NonZeroU32)) -> Result<Pixels, Error>,
) -> Result<CropWindow, Error> {
    if !matches!(geometry, Geometry::Crop { region: Region::Smart, .. }) {
        return Ok(crop_window);
    }
    let (whole, size) = crop_window.reduced(orientation, saliency::SIDE);
    let upright = orient(reduce(whole, size)?, orientation);
    Ok(crop_window.with_offset(|across, down| saliency::best_offset(&upright, across, down)))
}
