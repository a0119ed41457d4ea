//! Encoding of a scaled image, in the format that the variant names.

use std::time::Duration;

use image::metadata::Orientation;

use crate::codec::animation::LoopCount;
#[cfg(feature = "avif")]
use crate::codec::avif;
use crate::codec::embedded::Embedded;
#[cfg(feature = "jxl-variants")]
use crate::codec::jxl;
use crate::codec::palette::indexed;
use crate::codec::planes::{Range, Yuv420};
use crate::codec::{gif, jpeg, png, webp};
use crate::context::RenderContext;
use crate::encoding::{Encoding, Format};
use crate::error::{Error, OutputLimit};
use crate::limits::Limits;
use crate::pixels::Pixels;
use crate::transform::channels::{flatten_on_white, to_color, to_rgba};
use crate::transform::color::Gamut;
use crate::transform::crop::CropWindow;
use crate::transform::orientation::orient;

/// Maximum side of a JPEG (ITU-T T.81 section B.2.2).
const JPEG_SIDE_MAX: u32 = 65_535;
/// Maximum side of a WebP (RFC 9649 section 2.5).
const WEBP_SIDE_MAX: u32 = 16_383;
/// Maximum side of a GIF (GIF89a, section 18).
const GIF_SIDE_MAX: u32 = 65_535;
/// Maximum side of an AV1 frame (section 5.5.1).
const AVIF_SIDE_MAX: u32 = 65_535;
/// Maximum side of a JPEG XL of level 5 (ISO/IEC 18181-1, annex M).
const JXL_SIDE_MAX: u32 = 1 << 18;

/// # Errors
/// The variant would exceed `limits.output_pixels` or the maximum size of its format.
pub(crate) fn check_size(crop_window: &CropWindow, encoding: Encoding, limits: &Limits) -> Result<(), Error> {
    let (width, height) = (crop_window.size().0.get(), crop_window.size().1.get());
    let too_large = |limit| Err(Error::OutputTooLarge { width, height, limit });
    if u64::from(width) * u64::from(height) > limits.output_pixels {
        return too_large(OutputLimit::Pixels(limits.output_pixels));
    }
    let side_max = match encoding {
        Encoding::Jpeg(_) => JPEG_SIDE_MAX,
        Encoding::WebP(_) => WEBP_SIDE_MAX,
        Encoding::Gif => GIF_SIDE_MAX,
        Encoding::Avif(_) => AVIF_SIDE_MAX,
        Encoding::Jxl(_) => JXL_SIDE_MAX,
        Encoding::Png => u32::MAX,
    };
    if width.max(height) > side_max {
        return too_large(OutputLimit::Side(side_max));
    }
    Ok(())
}

/// Encodes upright pixels in the color space `gamut`, without its profile.
///
/// # Errors
/// [`Error::RenderTimeout`], or [`Error::Encode`] if memory runs out or because of a bug.
#[cfg_attr(
    not(any(feature = "avif", feature = "jxl-variants")),
    expect(unused_variables, reason = "only AVIF and JPEG XL state the color space while encoding")
)]
pub(crate) fn encode_pixels(
    pixels: Pixels,
    gamut: Gamut,
    encoding: Encoding,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let deadline = context.deadline;
    deadline.check()?;
    match encoding {
        Encoding::Jpeg(quality) => {
            let planes = Yuv420::from_pixels(&flatten_on_white(pixels));
            jpeg::encode::encode_planes(&planes, quality, &context.encode, deadline)
        }
        Encoding::Png => match (context.encode.png_colors, context.encode.png_effort) {
            (Some(colors), effort) => {
                let (size, colors) = ((pixels.width, pixels.height), colors.get().clamp(2, 256));
                let indexed = indexed(to_rgba(pixels).data.as_chunks().0, colors.into(), deadline)?;
                png::encode::encode_indexed(&indexed, size, effort, deadline)
            }
            (None, effort) => png::encode::encode(&pixels, effort, deadline),
        },
        Encoding::WebP(quality) => {
            webp::encode::encode(&to_color(pixels), quality, context.encode.webp_effort, deadline)
        }
        #[cfg(feature = "avif")]
        Encoding::Avif(quality) => avif::encode::encode(pixels, gamut, quality, context),
        #[cfg(not(feature = "avif"))]
        Encoding::Avif(_) => Err(Error::Encode { reason: "built without the feature avif".to_owned() }),
        #[cfg(feature = "jxl-variants")]
        Encoding::Jxl(quality) => jxl::encode::encode(pixels, gamut, quality, context),
        #[cfg(not(feature = "jxl-variants"))]
        Encoding::Jxl(_) => Err(Error::Encode { reason: "built without the feature jxl-variants".to_owned() }),
        Encoding::Gif => {
            let mut encoder = gif::encode::GifEncoder::new((pixels.width, pixels.height), LoopCount::ONCE, deadline)?;
            encoder.add(&to_rgba(pixels), Duration::ZERO, context.gif_bytes_max)?;
            encoder.finish()
        }
    }
}

/// Encodes upright pixels of 16 bits. Only AVIF and JPEG XL keep more than 8.
///
/// # Errors
/// See [`encode_pixels`].
#[cfg_attr(
    not(any(feature = "avif", feature = "jxl-variants")),
    expect(unused_variables, clippy::needless_pass_by_value, reason = "only for AVIF and JPEG XL")
)]
pub(crate) fn encode_deep(
    pixels: Pixels<u16>,
    gamut: Gamut,
    encoding: Encoding,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    match encoding {
        #[cfg(feature = "avif")]
        Encoding::Avif(quality) => avif::encode::encode(pixels, gamut, quality, context),
        #[cfg(feature = "jxl-variants")]
        Encoding::Jxl(quality) => jxl::encode::encode(pixels, gamut, quality, context),
        _ => Err(Error::Encode { reason: "only AVIF and JPEG XL are encoded from 16 bits".to_owned() }),
    }
}

/// Inserts the data into an encoded file.
pub(crate) fn embed(file: Vec<u8>, data: Embedded<'_>, format: Format) -> Vec<u8> {
    match format {
        _ if data.is_empty() => file,
        Format::Jpeg => jpeg::embed::embed(&file, data),
        Format::Png => png::embed::embed(&file, data),
        Format::WebP => webp::embed::embed(&file, data),
        #[cfg(feature = "jxl-variants")]
        Format::Jxl => jxl::embed::embed(file, data),
        #[cfg(not(feature = "jxl-variants"))]
        Format::Jxl => file,
        Format::Avif | Format::Gif => file,
    }
}

/// Encodes planes in the stored orientation. Only JPEG and lossy WebP consist of planes.
///
/// # Errors
/// [`Error::RenderTimeout`], or [`Error::Encode`] if memory runs out or because of a bug.
pub(crate) fn encode_planes(
    stored: Yuv420,
    orientation: Orientation,
    encoding: Encoding,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let deadline = context.deadline;
    deadline.check()?;
    let planes = stored.planes.into_iter().map(|plane| orient(plane, orientation)).collect();
    let upright = Yuv420 { planes, ..stored };
    match encoding {
        Encoding::Jpeg(quality) => {
            jpeg::encode::encode_planes(&upright.into_range(Range::Full), quality, &context.encode, deadline)
        }
        Encoding::WebP(quality) => {
            let effort = context.encode.webp_effort;
            webp::encode::encode_planes(upright.into_range(Range::Limited), quality, effort, deadline)
        }
        Encoding::Png | Encoding::Avif(_) | Encoding::Jxl(_) | Encoding::Gif => {
            Err(Error::Encode { reason: "only JPEG and WebP are encoded from planes".to_owned() })
        }
    }
}
