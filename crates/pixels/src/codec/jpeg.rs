//! JPEGs of every kind as pixels: those that the planar way does not take.

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

/// The decoder, its header read.
pub(crate) type Decoder<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

/// What the segments before the first scan say.
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
        // All coefficients of a progressive picture, 16 bits each, for as many planes as there are, and which of them are
        // not zero.
        codec_bytes: if is_progressive { 2 * components + 1 } else { 0 },
        frames: 1,
    })
}

/// Whether it is of four inks rather than of light.
pub(crate) fn is_cmyk(info: &ImageInfo) -> bool {
    info.pixel_bytes == 4
}

/// The picture, gray or RGB, and its profile.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    let mut decoder = open(original, options(original, context))?;
    let (color, channels) = if components(&decoder) == 1 { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    decode_as(&mut decoder, color, channels)
}

/// The samples as `color`, and the profile.
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

/// How to decode: files that are cut short are an error only where they are not wanted, and small faults never are.
pub(crate) fn options(original: &[u8], context: &RenderContext) -> DecoderOptions {
    let is_strict = !context.keeps_incomplete() && !is_whole(original);
    let scans_max = usize::try_from(context.scans_max).unwrap_or(usize::MAX);
    DecoderOptions::default().set_strict_mode(is_strict).jpeg_set_max_scans(scans_max)
}

/// # Errors
/// The bytes are damaged, or of a kind that the codec does not know.
pub(crate) fn open(original: &[u8], options: DecoderOptions) -> Result<Decoder<'_>, Error> {
    // The sides are held against the limits by who asks, and have 16 bits.
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

/// Whether there is an end behind the first scan: in a scan's data, its marker cannot stand.
fn is_whole(original: &[u8]) -> bool {
    let end = original.windows(2).rposition(|pair| pair == [0xFF, 0xD9]);
    end.is_some_and(|end| first_scan(original).is_some_and(|scan| scan < end))
}

/// Where the first scan's header begins.
fn first_scan(original: &[u8]) -> Option<usize> {
    markers(original).find(|(marker, _)| *marker == 0xDA).map(|(_, at)| at)
}

/// Whether an application segment of Adobe's stands before the first scan.
pub(crate) fn has_adobe_marker(original: &[u8]) -> bool {
    markers(original).any(|(marker, at)| marker == 0xEE && original[at..].get(4..9) == Some(b"Adobe"))
}

/// The marker of the frame header, which says how the picture is coded (ITU-T T.81, table B.1).
fn frame(original: &[u8]) -> Option<u8> {
    // SOF0 to SOF15 without DHT, JPG and DAC, which have numbers among them.
    let is_frame = |marker| matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
    markers(original).map(|(marker, _)| marker).find(|marker| is_frame(*marker))
}

/// The markers up to the first scan's, and where they stand.
fn markers(original: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut at = 2;
    std::iter::from_fn(move || {
        // Fill bytes (section B.1.1.2).
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
    damaged("it has fewer samples than its header says")
}
