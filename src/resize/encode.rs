//! From pixels to bytes.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::metadata::Orientation;
use image::{ExtendedColorType, ImageEncoder};
use jpeg_planes::{PlaneRef, Subsampling};

use super::frame::Frame;
use super::planes::{Halved, Range};
use super::scale::{Pixels, orient};
use super::{Limits, RenderError, webp};
use crate::variant::{Encoding, Quality};

/// The longest side of a JPEG (ITU-T T.81 section B.2.2) and of a WebP (RFC 9649 section 2.5).
const JPEG_SIDE_MAX: u32 = 65_535;
const WEBP_SIDE_MAX: u32 = 16_383;

/// # Errors
/// The variant would be larger than `limits.output_pixels`, or than its format can say.
pub(super) fn check_size(frame: &Frame, encoding: Encoding, limits: &Limits) -> Result<(), RenderError> {
    let (width, height) = (frame.size().0.get(), frame.size().1.get());
    let too_large = |what| Err(RenderError::OutputTooLarge { width, height, what });
    if u64::from(width) * u64::from(height) > limits.output_pixels {
        return too_large(format!("limits.output_pixels, {}", limits.output_pixels));
    }
    let side_max = match encoding {
        Encoding::Jpeg(_) => JPEG_SIDE_MAX,
        Encoding::WebP(_) => WEBP_SIDE_MAX,
        Encoding::Png => u32::MAX,
    };
    if width.max(height) > side_max {
        return too_large(format!("the {side_max} pixels that a side of its format may have"));
    }
    Ok(())
}

/// # Errors
/// [`RenderError::Encode`]: out of memory, or a fault of ours.
pub(super) fn encode(pixels: Pixels, encoding: Encoding) -> Result<Vec<u8>, RenderError> {
    match encoding {
        Encoding::Jpeg(quality) => jpeg(&Halved::of(&on_white(pixels)), quality),
        Encoding::Png => png(&pixels),
        Encoding::WebP(quality) => webp::encode(&colour(pixels), quality),
    }
}

/// Planes as they are stored; JPEG and lossy WebP are made of them as they are.
///
/// # Errors
/// [`RenderError::Encode`]: out of memory, or a fault of ours.
pub(super) fn planes(stored: Halved, orientation: Orientation, encoding: Encoding) -> Result<Vec<u8>, RenderError> {
    let planes = stored.planes.into_iter().map(|plane| orient(plane, orientation)).collect();
    let upright = Halved { planes, ..stored };
    match encoding {
        Encoding::Jpeg(quality) => jpeg(&upright.into_range(Range::Full), quality),
        Encoding::WebP(quality) => webp::encode_planes(upright.into_range(Range::Limited), quality),
        Encoding::Png => Err(RenderError::Encode { reason: "PNG is not made of planes".to_owned() }),
    }
}

/// Baseline, 4:2:0, in one interleaved scan with Huffman tables of its own.
fn jpeg(planes: &Halved, quality: Quality) -> Result<Vec<u8>, RenderError> {
    let refs: Vec<_> =
        planes.planes.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
    let subsampling = if refs.len() == 1 { Subsampling::Grey } else { Subsampling::Half };
    jpeg_planes::encode(&refs, subsampling, quality.get())
        .map_err(|error| RenderError::Encode { reason: error.to_string() })
}

/// Lossless: a filter a row, and the quick end of deflate, which is 8 % larger and 50 times faster than the slow one.
fn png(pixels: &Pixels) -> Result<Vec<u8>, RenderError> {
    let colour = match pixels.channels {
        1 => ExtendedColorType::L8,
        2 => ExtendedColorType::La8,
        3 => ExtendedColorType::Rgb8,
        _ => ExtendedColorType::Rgba8,
    };
    let mut bytes = Vec::with_capacity(pixels.data.len() / 2 + 1024);
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&pixels.data, pixels.width, pixels.height, colour)
        .map_err(|error| RenderError::Encode { reason: error.to_string() })?;
    Ok(bytes)
}

/// What has an alpha channel, laid on white: JPEG has none.
fn on_white(pixels: Pixels) -> Pixels {
    let (colours, alpha) = match pixels.channels {
        2 => (1, 1),
        4 => (3, 3),
        _ => return pixels,
    };
    let mut data = Vec::with_capacity(pixels.data.len() / (alpha + 1) * colours);
    for pixel in pixels.data.chunks_exact(alpha + 1) {
        let opacity = u16::from(pixel[alpha]);
        for &colour in &pixel[..colours] {
            // Rounded, and exact at both ends.
            let sum = u16::from(colour) * opacity + 255 * (255 - opacity);
            data.push(u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX));
        }
    }
    let channels = if colours == 1 { 1 } else { 3 };
    Pixels { channels, data, ..pixels }
}

/// Grey as colour: WebP has no grey.
fn colour(pixels: Pixels) -> Pixels {
    let data: Vec<u8> = match pixels.channels {
        1 => pixels.data.iter().flat_map(|&grey| [grey; 3]).collect(),
        2 => pixels.data.chunks_exact(2).flat_map(|pixel| [pixel[0], pixel[0], pixel[0], pixel[1]]).collect(),
        _ => return pixels,
    };
    Pixels { channels: pixels.channels + 2, data, ..pixels }
}
