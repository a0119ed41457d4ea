//! Rotation and mirroring of pixels.

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use crate::pixels::Pixels;

/// Applies `orientation` to the stored pixels, which makes the image upright.
pub(crate) fn orient(pixels: Pixels, orientation: Orientation) -> Pixels {
    if orientation == Orientation::NoTransforms {
        return pixels;
    }
    let channels = pixels.channels;
    let Some(mut image) = dynamic_image(pixels) else {
        return Pixels { width: 0, height: 0, channels, data: Vec::new() };
    };
    image.apply_orientation(orientation);
    Pixels { width: image.width(), height: image.height(), channels, data: image.into_bytes() }
}

/// `None` only if the length of the data does not match the size.
fn dynamic_image(pixels: Pixels) -> Option<DynamicImage> {
    let Pixels { width, height, channels, data } = pixels;
    Some(match channels {
        1 => GrayImage::from_raw(width, height, data)?.into(),
        2 => GrayAlphaImage::from_raw(width, height, data)?.into(),
        3 => RgbImage::from_raw(width, height, data)?.into(),
        _ => RgbaImage::from_raw(width, height, data)?.into(),
    })
}
