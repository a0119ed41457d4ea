//! Decodes JPEG files that the planar decoder does not support to pixels.

pub(crate) mod cmyk;
pub(crate) mod encode;
pub(crate) mod planar;
pub(crate) mod strip;

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

/// Reads the segments before the first scan. Allocates nothing.
///
/// # Errors
/// There is no frame header, or it is damaged.
pub(crate) fn read_info(original: &[u8]) -> Result<ImageInfo, Error> {
    let frame = Frame::read(original).ok_or_else(|| damaged("no frame header"))?;
    let (width, height, components) = (frame.width, frame.height, frame.components);
    // An image whose coefficients come in several scans needs all of them, with 16 bits each, and the history of nonzero
    // coefficients. The last blocks add up to 31 columns and rows of padding.
    let padded = |side: u32| u64::from(side.next_multiple_of(8)) + 24;
    let coefficients = padded(width) * padded(height) * (2 * u64::from(components) + 1);
    // Rows of blocks of all components, before and after upsampling.
    let rows = 1024 * u64::from(width) + (1 << 18);
    Ok(ImageInfo {
        width,
        height,
        orientation: exif(original).and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms),
        pixel_bytes: if components == 1 || components == 4 { components } else { 3 },
        extra_bytes: rows + if frame.has_many_scans { coefficients } else { 0 },
        profile_bytes: profile_bytes(original),
        ..ImageInfo::default()
    })
}

/// The facts of the frame header and the first scan header that decide about memory.
struct Frame {
    width: u32,
    height: u32,
    components: u8,
    /// True if the first scan does not complete the samples of all components.
    has_many_scans: bool,
}

impl Frame {
    fn read(original: &[u8]) -> Option<Self> {
        // SOF0 to SOF15. DHT, JPG and DAC have codes in the same range.
        let is_frame = |marker| matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
        let (marker, at) = markers(original).find(|(marker, _)| is_frame(*marker))?;
        let &[_, h1, h0, w1, w0, components] = original.get(at + 4..)?.first_chunk()?;
        let first_scan = first_scan(original).and_then(|at| original.get(at + 4));
        let is_progressive = matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE);
        Some(Self {
            width: u16::from_be_bytes([w1, w0]).into(),
            height: u16::from_be_bytes([h1, h0]).into(),
            components,
            has_many_scans: is_progressive || first_scan.is_none_or(|count| *count != components),
        })
    }
}

/// The TIFF structure of the last EXIF segment.
fn exif(original: &[u8]) -> Option<&[u8]> {
    let segments = markers(original).filter(|(marker, _)| *marker == 0xE1);
    segments.filter_map(|(_, at)| segment(original, at).strip_prefix(b"Exif\0\0")).last()
}

/// Size of the parts of the ICC profile.
fn profile_bytes(original: &[u8]) -> u64 {
    let segments = markers(original).filter(|(marker, _)| *marker == 0xE2);
    let parts = segments.filter_map(|(_, at)| segment(original, at).strip_prefix(b"ICC_PROFILE\0"));
    parts.map(|part| part.len() as u64).sum()
}

/// The payload of the segment with a marker at `at`.
fn segment(original: &[u8], at: usize) -> &[u8] {
    let rest = original.get(at + 2..).unwrap_or_default();
    let length = rest.first_chunk().map_or(0, |length| usize::from(u16::from_be_bytes(*length)));
    rest.get(2..length).unwrap_or_default()
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
