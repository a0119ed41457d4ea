//! Rotation and mirroring of pixels.

use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use crate::info::oriented_size;
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

/// Applies `orientation` to pixels of any sample.
pub(crate) fn orient_deep<S: Copy>(pixels: Pixels<S>, orientation: Orientation) -> Pixels<S> {
    if orientation == Orientation::NoTransforms {
        return pixels;
    }
    let (width, height) = oriented_size((pixels.width, pixels.height), orientation);
    let channels = usize::from(pixels.channels);
    let (right, bottom) = (pixels.width.saturating_sub(1), pixels.height.saturating_sub(1));
    let mut data = Vec::with_capacity(pixels.data.len());
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        // The stored place of an upright pixel.
        let (x, y) = match orientation {
            Orientation::NoTransforms => (x, y),
            Orientation::FlipHorizontal => (right - x, y),
            Orientation::Rotate180 => (right - x, bottom - y),
            Orientation::FlipVertical => (x, bottom - y),
            Orientation::Rotate90FlipH => (y, x),
            Orientation::Rotate90 => (y, bottom - x),
            Orientation::Rotate270FlipH => (right - y, bottom - x),
            Orientation::Rotate270 => (right - y, x),
        };
        let at = (y as usize * pixels.width as usize + x as usize) * channels;
        data.extend(&pixels.data[at..at + channels]);
    }
    Pixels { width, height, channels: pixels.channels, data }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_of_any_sample_are_turned_in_the_same_way() {
        for orientation in (1..=8).filter_map(Orientation::from_exif) {
            for (channels, count) in [(1, 6), (2, 12), (3, 18), (4, 24)] {
                let pixels = Pixels { width: 2, height: 3, channels, data: (0..count).collect() };
                assert_eq!(orient_deep(pixels.clone(), orientation), orient(pixels, orientation), "{orientation:?}");
            }
        }
    }
}
