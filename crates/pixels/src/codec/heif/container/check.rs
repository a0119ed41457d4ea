//! Checks invariants of the HEIF parser and the color conversion for arbitrary files and samples. Called by tests and
//! fuzz targets.

use super::{Coding, CropRect, HeifImage, Layer};
use crate::codec::heif::grid_canvas::GridCanvas;
use crate::codec::heif::yuv;
use crate::context::RenderContext;
use crate::limits::{ColorPolicy, Limits};
use crate::yuv_image::{Cicp, YuvImage, YuvSamples};

/// Maximum number of pixels for which samples are generated.
const PIXELS_MAX: u64 = 1 << 14;

/// Parses `bytes`, generates samples for all tiles and converts them. Returns an upper bound, in bytes, on the memory
/// that this takes, or `None` if the file is refused or too large.
///
/// # Panics
/// An invariant is violated.
pub fn avif(bytes: &[u8]) -> Option<u64> {
    check(bytes, Coding::Av1)
}

/// Like [`avif`] for HEIC.
///
/// # Panics
/// An invariant is violated.
pub fn heic(bytes: &[u8]) -> Option<u64> {
    check(bytes, Coding::Hevc)
}

#[expect(clippy::panic, reason = "panics report violated invariants")]
fn check(bytes: &[u8], coding: Coding) -> Option<u64> {
    let image = HeifImage::read(bytes, coding).ok()?;
    for layer in layers(&image) {
        assert_eq!(layer.size, image.color.size);
        let count = layer.tiles.len() as u64;
        let (columns, rows) = (u64::from(layer.columns), count / u64::from(layer.columns));
        assert_eq!(count, rows * columns);
        assert!(u64::from(layer.tile_size.0) * columns >= u64::from(layer.size.0));
        assert!(u64::from(layer.tile_size.1) * rows >= u64::from(layer.size.1));
        assert!(layer.tiles.iter().all(|tile| !tile.bytes().is_empty() && tile.len() <= bytes.len()));
    }
    let CropRect { x, y, width, height } = image.crop;
    assert!(width > 0 && height > 0);
    assert!(x + width <= image.color.size.0 && y + height <= image.color.size.1);
    let info = image.info();
    if area(image.decoded_size()) > PIXELS_MAX {
        return None;
    }
    let images: Vec<_> = layers(&image).map(|layer| generate_image(layer, bytes)).collect();
    let [color, alpha @ ..] = images.as_slice() else { panic!("no color image") };
    if let Ok(result) = yuv::pixels(&image, color, alpha.first(), &RenderContext::new(&Limits::default())) {
        assert_eq!((result.pixels.width, result.pixels.height), (width, height));
        assert_eq!(result.pixels.data.len() as u64, area((info.width, info.height)) * u64::from(info.pixel_bytes));
    }
    if let Ok(result) = yuv::planes(&image, images.into_iter().next()?, ColorPolicy::Keep) {
        assert!(result.planes.planes.iter().all(|plane| {
            let (width, height) = (plane.samples.width as usize, plane.samples.height as usize);
            plane.samples.data.len() == width * height
        }));
    }
    Some(
        area((info.width, info.height)) * (u64::from(info.pixel_bytes) + u64::from(info.codec_bytes))
            + info.extra_bytes,
    )
}

fn layers<'a, 'b>(image: &'b HeifImage<'a>) -> impl Iterator<Item = &'b Layer<'a>> {
    [Some(&image.color), image.alpha.as_ref()].into_iter().flatten()
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width).saturating_mul(height.into())
}

/// A layer whose tiles repeat `bytes` as samples.
#[expect(clippy::expect_used, reason = "panics report violated invariants")]
fn generate_image(layer: &Layer<'_>, bytes: &[u8]) -> YuvImage {
    let (width, height) = layer.tile_size;
    let mut canvas = GridCanvas::new(layer);
    for n in 0..layer.tiles.len() {
        let plane = |plane| {
            let (width, height) = layer.sampling.plane_size(plane, layer.tile_size);
            let samples = bytes.iter().copied().cycle().skip(n % bytes.len()).take((width * height) as usize);
            if layer.depth == 8 {
                return YuvSamples::U8(samples.collect());
            }
            // Includes values beyond the bit depth.
            YuvSamples::U16(samples.map(|byte| u16::from(byte) * 0x21).collect())
        };
        let byte = |n| u16::from(bytes.get(bytes.len() / 2 + n).copied().unwrap_or(0) % 24);
        let cicp = Cicp { primaries: byte(0), transfer: byte(1), matrix: byte(2), full_range: byte(3) > 12 };
        let planes = (0..layer.sampling.planes()).map(plane).collect();
        let tile = YuvImage { width, height, depth: layer.depth, sampling: layer.sampling, cicp, planes };
        canvas.push_tile(tile).expect("the tile matches the layer");
    }
    canvas.finish().expect("all tiles were added")
}
