//! Decodes PNG row by row, to 8 bits per sample.

pub(crate) mod animation;
pub(crate) mod chunks;
pub(crate) mod embed;
pub(crate) mod encode;
mod color;
pub(crate) mod deep;
pub(crate) mod profile;
mod rows;
#[cfg(feature = "png-small")]
pub(crate) mod small;
pub(crate) mod strip;

use std::io::Cursor;

use image::metadata::Orientation;
use png::{BitDepth, ColorType, Decoder, InterlaceInfo, Reader, Transformations};

use crate::codec::decoded::DecodedPixels;
use crate::codec::png::chunks::{PngHeader, lacks_only_its_end};
use crate::codec::png::rows::RowConversion;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::limits::{Incomplete, Limits};
use crate::pixels::Pixels;
use crate::size_limits::check_pixels;

/// Memory limit for chunks that are neither text nor a profile, such as EXIF data.
const CHUNK_BYTES_MAX: u64 = 4 << 20;

/// Tables for the conversion of 16-bit samples: three curves of 32 bits per sample, and three inverse ones of 16 bits.
const TABLE_BYTES: u64 = 2 << 20;

/// Reads the chunks before the pixel data. Allocates nothing.
///
/// # Errors
/// The header is damaged, or states more pixels than `limits.input_pixels`.
pub(crate) fn read_info(original: &[u8], limits: &Limits) -> Result<ImageInfo, Error> {
    let header = PngHeader::read(original)?;
    check_pixels((header.width, header.height), limits)?;
    if !header.is_whole {
        return Err(damaged("the checksum of the header is wrong"));
    }
    let orientation = header.exif.and_then(Orientation::from_exif_chunk);
    let frames = animation::frame_count(original);
    // A frame of an animation is put into a separate file, and converted to RGBA.
    let (frame_file, converted) = if frames > 1 { (original.len() as u64, 4) } else { (0, 0) };
    Ok(ImageInfo {
        width: header.width,
        height: header.height,
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        pixel_bytes: header.channels,
        frames,
        codec_bytes: converted,
        is_deep: header.depth > 8 && !header.is_interlaced && !header.color.has_code_points(),
        extra_bytes: decoder_bytes(original, &header) + frame_file,
        profile_bytes: header.color.profile_bytes(),
        ..ImageInfo::default()
    })
}

/// Memory of the decoder in addition to the pixels.
fn decoder_bytes(original: &[u8], header: &PngHeader<'_>) -> u64 {
    let stored = header.stored_row_bytes();
    // The decoder collects up to five rows, or 144 KB, in a buffer that doubles when it grows.
    let rows = (stored * u64::from(header.height)).min(5 * stored + (144 << 10));
    let row = if is_row_copied(header) { header.row_bytes() } else { 0 };
    // Rows of 32 bits per sample, and tables.
    let colors = if header.color.may_convert_rows(header.depth) { 4 * header.row_bytes() + TABLE_BYTES } else { 0 };
    // A chunk in a buffer that doubles when it grows, and its copy.
    let metadata = 3 * CHUNK_BYTES_MAX.min(original.len() as u64);
    2 * rows + stored + row + colors + metadata + (1 << 18)
}

/// True if rows are decoded into a buffer, because their samples have another order or size than those of the pixels.
fn is_row_copied(header: &PngHeader<'_>) -> bool {
    header.is_interlaced || header.depth > 8 || header.color.may_convert_rows(header.depth)
}

/// Decodes the image. For an APNG, this is the default image.
///
/// # Errors
/// The original is damaged, or decoding takes too long.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<DecodedPixels, Error> {
    let header = PngHeader::read(original)?;
    let mut reader = open(original, &header)?;
    let (width, height) = reader.info().size();
    let (color, depth) = reader.output_color_type();
    let channels = color.samples();
    let has_alpha = matches!(color, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let stride = width as usize * channels;
    let channel_count = u8::try_from(channels).unwrap_or(4);
    let is_wide = depth == BitDepth::Sixteen;
    let (color, policy) = (header.color.color(), context.encode.color);
    let (mut rows, conversion) = RowConversion::new(&color, width as usize, channel_count, is_wide, policy);
    // Missing rows of a truncated file are transparent, or mid-gray without an alpha channel.
    let mut data = vec![if has_alpha { 0 } else { 128 }; stride * height as usize];
    let is_copied = header.is_interlaced || !rows.is_none();
    let mut row = vec![0; if is_copied { reader.output_line_size(width).unwrap_or_default() } else { 0 }];
    let mut next = 0;
    loop {
        context.deadline.check()?;
        let target = data.get_mut(next * stride..).and_then(|rest| rest.get_mut(..stride)).unwrap_or_default();
        let interlace = match reader.read_row(if is_copied || target.is_empty() { &mut row[..] } else { target }) {
            Ok(Some(interlace)) => interlace,
            Ok(None) => break,
            Err(_) if context.incomplete == Incomplete::Keep && next > 0 => break,
            Err(_) if next as u64 == header.stored_rows() && lacks_only_its_end(original) => break,
            Err(error) => return Err(damaged(error.to_string())),
        };
        if is_copied {
            let samples = rows.apply(&mut row);
            match interlace {
                InterlaceInfo::Null(_) => {
                    if let Some(target) = data.chunks_exact_mut(stride).nth(next) {
                        target.copy_from_slice(&samples[..stride]);
                    }
                }
                InterlaceInfo::Adam7(pass) => {
                    let bits_per_pixel = u8::try_from(8 * channels).unwrap_or(u8::MAX);
                    png::expand_interlaced_row(&mut data, stride, samples, &pass, bits_per_pixel);
                }
            }
        }
        next += 1;
    }
    Ok(DecodedPixels { pixels: Pixels { width, height, channels: channel_count, data }, conversion })
}

fn open<'a>(original: &'a [u8], header: &PngHeader<'_>) -> Result<Reader<Cursor<&'a [u8]>>, Error> {
    let bytes = usize::try_from(CHUNK_BYTES_MAX + header.row_bytes()).unwrap_or(usize::MAX);
    let mut decoder = Decoder::new_with_limits(Cursor::new(original), png::Limits { bytes });
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.read_info().map_err(|error| damaged(error.to_string()))
}
