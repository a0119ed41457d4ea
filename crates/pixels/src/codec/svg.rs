//! SVG 1.1: the root element is read here, and `resvg` rasterizes the picture in a [`Sandbox`](crate::Sandbox) at the size
//! that a variant needs. That renderer is memory-safe, but cannot be stopped, and a small file can demand much work.

use std::num::NonZeroU32;

use crate::error::{Error, damaged};
use crate::geometry::Geometry;
use crate::info::ImageInfo;
use crate::pixel_image::PixelLayout;
use crate::sandbox::PROCESS_BYTES;
use crate::size_limits::SIDE_MAX;

#[cfg(feature = "svg-originals")]
mod check;
#[cfg(feature = "svg-originals")]
pub(crate) mod decode;
#[cfg(feature = "svg-originals")]
mod layers;
pub(crate) mod root;
#[cfg(feature = "svg-originals")]
pub(crate) mod sanitize;

pub(crate) use root::NominalSize;

/// Maximum length of a file in bytes. The time and the memory that its elements take grow with it.
pub(crate) const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads the root element. The size of an SVG limits nothing, because a variant is not made from pixels of that size.
///
/// # Errors
/// The file is too long, has no root element `svg`, or that element states an impossible size.
pub(crate) fn read_info(original: &[u8]) -> Result<(ImageInfo, NominalSize), Error> {
    check_length(original.len() as u64)?;
    let size = root::read(original)?;
    let (width, height) = size.pixels();
    Ok((ImageInfo { width, height, pixel_bytes: PixelLayout::Rgba.channels(), ..ImageInfo::default() }, size))
}

/// # Errors
/// The file is too long.
pub(crate) fn check_length(bytes: u64) -> Result<(), Error> {
    if bytes > FILE_BYTES_MAX {
        return Err(damaged(format!("it has {bytes} bytes, and an SVG may have at most {FILE_BYTES_MAX}")));
    }
    Ok(())
}

/// The size in pixels at which a picture is rasterized for a variant, which may be larger than its nominal size.
///
/// - Fit: the size of the variant. The more constrained side has the length of the box; the other one keeps the aspect
///   ratio, rounded half up.
/// - Crop: the smallest size that covers the box. The part outside of the box is even, so that the center of the picture
///   does not lie between two pixels.
pub(crate) fn raster_size(nominal: NominalSize, geometry: Geometry) -> (u32, u32) {
    let NominalSize { width, height } = nominal;
    let of_width = |side: NonZeroU32| f64::from(side.get()) * height / width;
    let of_height = |side: NonZeroU32| f64::from(side.get()) * width / height;
    match geometry {
        Geometry::Fit { width: Some(across), height: None } => (across.get(), rounded(of_width(across))),
        Geometry::Fit { width: None, height: Some(down) } => (rounded(of_height(down)), down.get()),
        Geometry::Fit { width: Some(across), height: Some(down) } if of_width(across) <= f64::from(down.get()) => {
            (across.get(), rounded(of_width(across)))
        }
        Geometry::Fit { width: Some(_), height: Some(down) } => (rounded(of_height(down)), down.get()),
        Geometry::Fit { width: None, height: None } => nominal.pixels(),
        Geometry::Crop { width: across, height: down, .. } if of_width(across) >= f64::from(down.get()) => {
            (across.get(), covering(of_width(across), down))
        }
        Geometry::Crop { width: across, height: down, .. } => (covering(of_height(down), across), down.get()),
    }
}

/// The length rounded half up, from 1 to one more than the limit on sides.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is in the range")]
fn rounded(length: f64) -> u32 {
    (length + 0.5).floor().clamp(1.0, f64::from(SIDE_MAX + 1)) as u32
}

/// A length of at least `side` that exceeds it by an even number.
fn covering(length: f64, side: NonZeroU32) -> u32 {
    let excess = (length - f64::from(side.get())).max(0.0) / 2.0;
    let half = if excess < 0.5 { 0 } else { rounded(excess) };
    side.get().saturating_add(half.saturating_mul(2)).min(SIDE_MAX + 1)
}

/// Upper bound, in bytes, on the memory that the renderer may allocate: the file, its tree, the pixels, and layers. A
/// picture that needs more is refused by its process.
pub(crate) fn sandbox_bytes(original_bytes: u64, (width, height): (u32, u32)) -> u64 {
    let pixels = 4 * u64::from(width) * u64::from(height);
    tree_bytes(original_bytes) + pixels + layer_bytes((width, height)) + PROCESS_BYTES
}

/// Limit, in bytes, on the file and its elements: 24 for each byte, and 32 MiB for elements that are used several times. Ten
/// thousand paths in 388 kB took 9.5 MiB, 90,000 rectangles in 2.5 MB took 80 MiB.
pub(crate) fn tree_bytes(original_bytes: u64) -> u64 {
    (32 << 20) + 24 * original_bytes
}

/// Maximum length in bytes of a sanitized file, which is indented.
#[must_use]
pub const fn sanitized_bytes_max(original_bytes: usize) -> usize {
    4 * original_bytes + (64 << 10)
}

/// Upper bound, in bytes, on the memory that sanitizing may allocate: the file, the names and attributes of open elements,
/// and the result, which grows by doubling.
pub(crate) const fn sanitizing_bytes(original_bytes: usize) -> u64 {
    (8 << 20) + 8 * original_bytes as u64 + 3 * sanitized_bytes_max(original_bytes) as u64 + PROCESS_BYTES
}

/// Limit, in bytes, on the layers that are in memory at the same time: those of groups, filters, masks and patterns.
pub(crate) fn layer_bytes((width, height): (u32, u32)) -> u64 {
    let pixels = 4 * u64::from(width) * u64::from(height);
    // A filter may extend beyond the picture, and small pictures need not be as economical.
    (40 * pixels).min(10 * pixels + (80 << 20)) + (8 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Region;
    use crate::transform::crop::CropWindow;

    fn nonzero(side: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(side)
    }

    #[test]
    fn pictures_are_rasterized_at_the_size_of_the_variant_even_if_it_is_larger() {
        let fit = |width, height| Geometry::Fit { width: nonzero(width), height: nonzero(height) };
        let crop = |width, height| Geometry::Crop {
            width: nonzero(width).unwrap(),
            height: nonzero(height).unwrap(),
            region: Region::Center,
        };
        let table = [
            ((100.0, 50.0), fit(300, 0), (300, 150)),
            ((100.0, 50.0), fit(0, 300), (600, 300)),
            ((100.0, 50.0), fit(300, 100), (200, 100)),
            ((100.0, 50.0), fit(30, 100), (30, 15)),
            ((1.0, 1e6), fit(300, 300), (1, 300)),
            ((0.5, 0.25), fit(300, 0), (300, 150)),
            ((100.0, 50.0), crop(300, 300), (600, 300)),
            ((50.0, 100.0), crop(300, 300), (300, 600)),
            ((101.0, 100.0), crop(300, 300), (304, 300)),
            ((100.0, 100.0), crop(300, 301), (301, 301)),
        ];
        for ((width, height), geometry, expected) in table {
            let nominal = NominalSize { width, height };
            let made = raster_size(nominal, geometry);
            let near = |a: u32, b: u32| a.abs_diff(b) <= 1;
            assert!(near(made.0, expected.0) && near(made.1, expected.1), "{width}x{height} {geometry}: {made:?}");
        }
    }

    #[test]
    fn windows_of_a_rasterized_picture_have_whole_positions_and_are_not_scaled() {
        for (across, down) in [(300, 200), (301, 200), (7, 1000), (1, 1)] {
            for (width, height) in [(100.0, 50.0), (33.3, 71.9), (1.0, 1.0)] {
                let geometry = Geometry::Crop {
                    width: nonzero(across).unwrap(),
                    height: nonzero(down).unwrap(),
                    region: Region::Center,
                };
                let raster = raster_size(NominalSize { width, height }, geometry);
                let window = CropWindow::new(raster, geometry);
                assert_eq!((window.size().0.get(), window.size().1.get()), (across, down));
                let (place, _) = window.stored(image::metadata::Orientation::NoTransforms);
                assert_eq!((place.width, place.height), (f64::from(across), f64::from(down)), "{raster:?}");
                assert_eq!((place.x.fract(), place.y.fract()), (0.0, 0.0), "{raster:?}");
            }
        }
    }
}
