//! What has to hold of any bytes at all as an AVIF file, and of any samples as what is in it. Tests and fuzzing call it.

use super::{AvifImage, CropRect, Layer};
use crate::codec::avif::grid_canvas::GridCanvas;
use crate::codec::avif::yuv;
use crate::context::RenderContext;
use crate::limits::Limits;
use crate::yuv_image::{Cicp, YuvImage, YuvSamples};

/// Up to how many pixels samples are made up.
const PIXELS_MAX: u64 = 1 << 14;

/// Reads `bytes`, and puts together a picture of made-up samples. Returns how many bytes that may take at once, if it was done.
///
/// # Panics
/// Something does not hold.
#[expect(clippy::panic, reason = "that is what it is for")]
pub fn avif(bytes: &[u8]) -> Option<u64> {
    let picture = AvifImage::read(bytes).ok()?;
    for layer in layers(&picture) {
        assert_eq!(layer.size, picture.color.size);
        let count = layer.tiles.len() as u64;
        let (columns, rows) = (u64::from(layer.columns), count / u64::from(layer.columns));
        assert_eq!(count, rows * columns);
        assert!(u64::from(layer.tile_size.0) * columns >= u64::from(layer.size.0));
        assert!(u64::from(layer.tile_size.1) * rows >= u64::from(layer.size.1));
        assert!(layer.tiles.iter().all(|tile| !tile.bytes().is_empty() && tile.len() <= bytes.len()));
    }
    let CropRect { x, y, width, height } = picture.crop;
    assert!(width > 0 && height > 0);
    assert!(x + width <= picture.color.size.0 && y + height <= picture.color.size.1);
    let info = picture.info().ok()?;
    if area(picture.decoded_size()) > PIXELS_MAX {
        return None;
    }
    let coded: Vec<_> = layers(&picture).map(|layer| whole(layer, bytes)).collect();
    let [color, alpha @ ..] = coded.as_slice() else { panic!("no colors") };
    if let Ok(made) = yuv::pixels(&picture, color, alpha.first(), &RenderContext::new(&Limits::default())) {
        assert_eq!((made.pixels.width, made.pixels.height), (width, height));
        assert_eq!(made.pixels.data.len() as u64, area((info.width, info.height)) * u64::from(info.pixel_bytes));
    }
    if let Ok(made) = yuv::planes(&picture, coded.into_iter().next()?) {
        assert!(made.planes.planes.iter().all(|plane| {
            let (width, height) = (plane.samples.width as usize, plane.samples.height as usize);
            plane.samples.data.len() == width * height
        }));
    }
    Some(area((info.width, info.height)) * u64::from(info.pixel_bytes + info.codec_bytes))
}

fn layers<'a, 'b>(picture: &'b AvifImage<'a>) -> impl Iterator<Item = &'b Layer<'a>> {
    [Some(&picture.color), picture.alpha.as_ref()].into_iter().flatten()
}

fn area((width, height): (u32, u32)) -> u64 {
    u64::from(width).saturating_mul(height.into())
}

/// A layer of tiles whose samples are `bytes`, over and over.
#[expect(clippy::expect_used, reason = "it holds, or else")]
fn whole(layer: &Layer<'_>, bytes: &[u8]) -> YuvImage {
    let (width, height) = layer.tile_size;
    let mut canvas = GridCanvas::new(layer);
    for n in 0..layer.tiles.len() {
        let plane = |plane| {
            let (width, height) = layer.sampling.plane_size(plane, layer.tile_size);
            let samples = bytes.iter().copied().cycle().skip(n % bytes.len()).take((width * height) as usize);
            if layer.depth == 8 {
                return YuvSamples::U8(samples.collect());
            }
            // Beyond the depth, too.
            YuvSamples::U16(samples.map(|byte| u16::from(byte) * 0x21).collect())
        };
        let byte = |n| u16::from(bytes.get(bytes.len() / 2 + n).copied().unwrap_or(0) % 24);
        let cicp = Cicp { primaries: byte(0), transfer: byte(1), matrix: byte(2), full_range: byte(3) > 12 };
        let planes = (0..layer.sampling.planes()).map(plane).collect();
        let tile = YuvImage { width, height, depth: layer.depth, sampling: layer.sampling, cicp, planes };
        canvas.push_tile(tile).expect("a tile as it was promised");
    }
    canvas.finish().expect("all tiles are there")
}
