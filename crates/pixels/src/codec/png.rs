//! Decodes PNG row by row, to 8 bits per sample.

pub(crate) mod encode;

use std::io::Cursor;

use image::metadata::Orientation;
use png::{BitDepth, ColorType, Decoder, InterlaceInfo, Reader, Transformations};

use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::limits::Incomplete;
use crate::pixels::Pixels;
use crate::transform::color::PROFILE_BYTES_MAX;

/// Memory limit for chunks: the ICC profile, compressed and uncompressed. Text chunks are skipped.
const CHUNK_BYTES_MAX: usize = 2 * PROFILE_BYTES_MAX + (1 << 20);

/// The size in the IHDR chunk, which is the first chunk (PNG, third edition, section 11.2.1). Zero if it is truncated.
pub(crate) fn size(head: &[u8]) -> (u32, u32) {
    let at = |offset: usize| head.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |n| u32::from_be_bytes(*n));
    (at(16), at(20))
}

/// Reads the chunks before the pixel data. Allocates a row, so the caller must check the size first.
pub(crate) fn read_info(original: &[u8]) -> Result<ImageInfo, Error> {
    let reader = open(original)?;
    let info = reader.info();
    let orientation = info.exif_metadata.as_deref().and_then(Orientation::from_exif_chunk);
    let channels = u8::try_from(reader.output_color_type().0.samples()).unwrap_or(4);
    Ok(ImageInfo {
        width: info.width,
        height: info.height,
        orientation: orientation.unwrap_or(Orientation::NoTransforms),
        pixel_bytes: channels,
        // The row buffers and the decompressor take only a few bytes per column.
        codec_bytes: 0,
        frames: 1,
    })
}

/// Decodes the image and its ICC profile. For an APNG, this is the default image.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    let mut reader = open(original)?;
    let profile = reader.info().icc_profile.as_deref().map(<[u8]>::to_vec);
    let (width, height) = reader.info().size();
    let (color, depth) = reader.output_color_type();
    let channels = color.samples();
    let has_alpha = matches!(color, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let stride = width as usize * channels;
    // Missing rows of a truncated file are transparent, or mid-gray without an alpha channel.
    let mut data = vec![if has_alpha { 0 } else { 128 }; stride * height as usize];
    let mut row = vec![0; reader.output_line_size(width).unwrap_or_default()];
    let mut next = 0;
    loop {
        context.deadline.check()?;
        let interlace = match reader.read_row(&mut row) {
            Ok(Some(interlace)) => interlace,
            Ok(None) => break,
            Err(_) if context.incomplete == Incomplete::Keep && next > 0 => break,
            Err(error) => return Err(damaged(error.to_string())),
        };
        let samples = if depth == BitDepth::Sixteen { to_eight_bits(&mut row) } else { &row[..] };
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
        next += 1;
    }
    let channels = u8::try_from(channels).unwrap_or(4);
    Ok((Pixels { width, height, channels, data }, profile))
}

fn open(original: &[u8]) -> Result<Reader<Cursor<&[u8]>>, Error> {
    let (width, _) = size(original);
    // A pixel has at most eight bytes.
    let limits = png::Limits { bytes: CHUNK_BYTES_MAX + 8 * width as usize };
    let mut decoder = Decoder::new_with_limits(Cursor::new(original), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.read_info().map_err(|error| damaged(error.to_string()))
}

/// Rounds 16-bit samples to 8 bits in place, and returns the first half of the row, which contains them.
fn to_eight_bits(row: &mut [u8]) -> &[u8] {
    for n in 0..row.len() / 2 {
        let sample = u32::from(u16::from_be_bytes([row[2 * n], row[2 * n + 1]]));
        row[n] = u8::try_from((sample * 255 + 32_767) / 65_535).unwrap_or(u8::MAX);
    }
    &row[..row.len() / 2]
}
