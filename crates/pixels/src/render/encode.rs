//! From pixels to bytes.

use std::time::Duration;

use image::metadata::Orientation;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use jpeg_planes::{PlaneLayout, PlaneRef};

use crate::codec::animation::Loops;
#[cfg(feature = "avif")]
use crate::codec::{gif, png};
use crate::codec::avif::encode;
use crate::codec::palette::indexed;
use crate::codec::planes::{Halved, Range};
use crate::codec::webp::encode;
use crate::context::Job;
use crate::encoding::{Encoding, Quality};
use crate::error::RenderError;
use crate::limits::Limits;
use crate::pixels::Pixels;
use crate::transform::crop::Frame;
use crate::transform::scale::orient;

/// The longest side of a JPEG (ITU-T T.81 section B.2.2) and of a WebP (RFC 9649 section 2.5).
const JPEG_SIDE_MAX: u32 = 65_535;
const WEBP_SIDE_MAX: u32 = 16_383;
/// Of a GIF (GIF89a, section 18), and of a frame of AV1 (section 5.5.1).
const GIF_SIDE_MAX: u32 = 65_535;
const AVIF_SIDE_MAX: u32 = 65_535;

/// # Errors
/// The variant would be larger than `limits.output_pixels`, or than its format can say.
pub(crate) fn check_size(frame: &Frame, encoding: Encoding, limits: &Limits) -> Result<(), RenderError> {
    let (width, height) = (frame.size().0.get(), frame.size().1.get());
    let too_large = |what| Err(RenderError::OutputTooLarge { width, height, what });
    if u64::from(width) * u64::from(height) > limits.output_pixels {
        return too_large(format!("limits.output_pixels, {}", limits.output_pixels));
    }
    let side_max = match encoding {
        Encoding::Jpeg(_) => JPEG_SIDE_MAX,
        Encoding::WebP(_) => WEBP_SIDE_MAX,
        Encoding::Gif => GIF_SIDE_MAX,
        Encoding::Avif(_) => AVIF_SIDE_MAX,
        Encoding::Png => u32::MAX,
    };
    if width.max(height) > side_max {
        return too_large(format!("the {side_max} pixels that a side of its format may have"));
    }
    Ok(())
}

/// # Errors
/// [`RenderError::Encode`]: out of memory, or a fault of ours.
pub(crate) fn encode(pixels: Pixels, encoding: Encoding, job: &Job) -> Result<Vec<u8>, RenderError> {
    job.deadline.check()?;
    match encoding {
        Encoding::Jpeg(quality) if job.finish.jpeg_progressive => progressive_jpeg(&on_white(pixels), quality),
        Encoding::Jpeg(quality) => jpeg(&Halved::of(&on_white(pixels)), quality),
        Encoding::Png => match job.finish.png_colours {
            Some(colours) => {
                let (size, colours) = ((pixels.width, pixels.height), colours.get().clamp(2, 256));
                png::encode::encode_indexed(&indexed(rgba(pixels).data.as_chunks().0, colours.into()), size)
            }
            None => png::encode::encode(&pixels),
        },
        Encoding::WebP(quality) => webp::encode(&colour(pixels), quality),
        #[cfg(feature = "avif")]
        Encoding::Avif(quality) => avif::encode(&pixels, quality, job),
        #[cfg(not(feature = "avif"))]
        Encoding::Avif(_) => Err(RenderError::Encode { reason: "built without the feature avif".to_owned() }),
        Encoding::Gif => {
            let mut writer = gif::encode::Writer::new((pixels.width, pixels.height), Loops::ONCE)?;
            writer.add(&rgba(pixels), Duration::ZERO)?;
            writer.finish()
        }
    }
}

/// Planes as they are stored; JPEG and lossy WebP are made of them as they are.
///
/// # Errors
/// [`RenderError::Encode`]: out of memory, or a fault of ours.
pub(crate) fn planes(stored: Halved, orientation: Orientation, encoding: Encoding) -> Result<Vec<u8>, RenderError> {
    let planes = stored.planes.into_iter().map(|plane| orient(plane, orientation)).collect();
    let upright = Halved { planes, ..stored };
    match encoding {
        Encoding::Jpeg(quality) => jpeg(&upright.into_range(Range::Full), quality),
        Encoding::WebP(quality) => webp::encode_planes(upright.into_range(Range::Limited), quality),
        Encoding::Png | Encoding::Avif(_) | Encoding::Gif => {
            Err(RenderError::Encode { reason: "only JPEG and WebP are made of planes".to_owned() })
        }
    }
}

/// Baseline, 4:2:0, in one interleaved scan with Huffman tables of its own.
fn jpeg(planes: &Halved, quality: Quality) -> Result<Vec<u8>, RenderError> {
    let refs: Vec<_> =
        planes.planes.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
    let layout = if refs.len() == 1 { PlaneLayout::Gray } else { PlaneLayout::YCbCr420 };
    jpeg_planes::encode(&refs, layout, quality.get()).map_err(|error| RenderError::Encode { reason: error.to_string() })
}

/// Progressive, 4:2:0, with Huffman tables of its own.
fn progressive_jpeg(pixels: &Pixels, quality: Quality) -> Result<Vec<u8>, RenderError> {
    let failed = |reason: &dyn ToString| RenderError::Encode { reason: reason.to_string() };
    let side = |n: u32| u16::try_from(n).map_err(|error| failed(&error));
    let (width, height) = (side(pixels.width)?, side(pixels.height)?);
    let mut bytes = Vec::with_capacity(pixels.data.len() / 8 + 1024);
    let mut encoder = Encoder::new(&mut bytes, quality.get());
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    // Its default takes the first sample of four, which moves colours by half a pixel.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    let colour = if pixels.channels == 1 { ColorType::Luma } else { ColorType::Rgb };
    encoder.encode(&pixels.data, width, height, colour).map_err(|error| failed(&error))?;
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

/// Whatever it is as RGBA.
pub(crate) fn rgba(pixels: Pixels) -> Pixels {
    let pixels = colour(pixels);
    if pixels.channels == 4 {
        return pixels;
    }
    let data = pixels.data.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, u8::MAX]).collect();
    Pixels { channels: 4, data, ..pixels }
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
