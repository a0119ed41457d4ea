//! Decodes JPEG files that the planar decoder does not support to pixels.

pub(crate) mod cmyk;
pub(crate) mod encode;
pub(crate) mod planar;

use image::metadata::Orientation;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::pixels::Pixels;

/// A decoder that has read the header.
pub(crate) type Decoder<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

/// Reads the segments before the first scan.
pub(crate) fn read_info(original: &[u8]) -> Result<ImageInfo, Error> {
    let decoder = open(original, DecoderOptions::default().set_strict_mode(false))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let components = components(&decoder);
    let is_progressive = matches!(frame(original), Some(0xC2 | 0xC6 | 0xCA | 0xCE));
    Ok(ImageInfo {
        width: side(width),
        height: side(height),
        orientation: decoder
            .exif()
            .and_then(|exif| Orientation::from_exif_chunk(exif))
            .unwrap_or(Orientation::NoTransforms),
        pixel_bytes: components,
        // A progressive image needs a 16-bit coefficient per sample, and the history of nonzero coefficients.
        codec_bytes: if is_progressive { 2 * components + 1 } else { 0 },
        frames: 1,
    })
}

/// True for CMYK and YCCK.
pub(crate) fn is_cmyk(info: &ImageInfo) -> bool {
    info.pixel_bytes == 4
}

/// Decodes to gray or RGB. Also returns the ICC profile.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    let mut decoder = open(original, options(original, context))?;
    let (color, channels) = if components(&decoder) == 1 { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    decode_as(&mut decoder, color, channels)
}

/// Decodes to a color space. Also returns the ICC profile.
pub(crate) fn decode_as(
    decoder: &mut Decoder<'_>,
    color: ColorSpace,
    channels: u8,
) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(color));
    let data = decoder.decode().map_err(|error| damaged(error.to_string()))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let side = |side: usize| u32::try_from(side).map_err(|_| too_few_samples());
    let (width, height) = (side(width)?, side(height)?);
    if data.len() as u64 != u64::from(width) * u64::from(height) * u64::from(channels) {
        return Err(too_few_samples());
    }
    Ok((Pixels { width, height, channels, data }, decoder.icc_profile()))
}

/// Decoder options. Truncated files are an error only if incomplete originals are refused. Other small errors are
/// tolerated.
pub(crate) fn options(original: &[u8], context: &RenderContext) -> DecoderOptions {
    let is_strict = !context.keeps_incomplete() && !is_whole(original);
    let scans_max = usize::try_from(context.scans_max).unwrap_or(usize::MAX);
    DecoderOptions::default().set_strict_mode(is_strict).jpeg_set_max_scans(scans_max)
}

/// # Errors
/// The data is damaged, or uses an unsupported feature.
pub(crate) fn open(original: &[u8], options: DecoderOptions) -> Result<Decoder<'_>, Error> {
    // The caller checks the limits. Width and height have 16 bits.
    let options = options.set_max_width(usize::MAX).set_max_height(usize::MAX);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(original), options);
    decoder.decode_headers().map_err(|error| damaged(error.to_string()))?;
    Ok(decoder)
}

fn components(decoder: &Decoder<'_>) -> u8 {
    match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => 1,
        Some(ColorSpace::CMYK | ColorSpace::YCCK) => 4,
        _ => 3,
    }
}

/// True if an EOI marker follows the first scan. The marker cannot occur within entropy-coded data.
fn is_whole(original: &[u8]) -> bool {
    let end = original.windows(2).rposition(|pair| pair == [0xFF, 0xD9]);
    end.is_some_and(|end| first_scan(original).is_some_and(|scan| scan < end))
}

/// Position of the first SOS marker.
fn first_scan(original: &[u8]) -> Option<usize> {
    markers(original).find(|(marker, _)| *marker == 0xDA).map(|(_, at)| at)
}

/// True if an Adobe APP14 segment precedes the first scan.
pub(crate) fn has_adobe_marker(original: &[u8]) -> bool {
    markers(original).any(|(marker, at)| marker == 0xEE && original[at..].get(4..9) == Some(b"Adobe"))
}

/// The SOF marker, which defines the coding process (ITU-T T.81, table B.1).
fn frame(original: &[u8]) -> Option<u8> {
    // SOF0 to SOF15. DHT, JPG and DAC have codes in the same range.
    let is_frame = |marker| matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
    markers(original).map(|(marker, _)| marker).find(|marker| is_frame(*marker))
}

/// The markers up to the first SOS, with their positions.
fn markers(original: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut at = 2;
    std::iter::from_fn(move || {
        // Skip fill bytes (ITU-T T.81, section B.1.1.2).
        while original.get(at..)?.starts_with(&[0xFF, 0xFF]) {
            at += 1;
        }
        let [0xFF, marker, length @ ..] = original.get(at..)? else { return None };
        let place = at;
        let length = length.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
        at = if matches!(marker, 0xDA | 0xD9) { original.len() } else { at + 2 + usize::from(length.max(2)) };
        Some((*marker, place))
    })
}

fn too_few_samples() -> Error {
    damaged("fewer samples than the header declares")
}
