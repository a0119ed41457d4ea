//! Encodes PNG. The choice of filter and compression level trades time for size.
//!
//! Rows without a filter are compressed here instead of by the `png` crate, which compresses a whole image in one call
//! that cannot be stopped. The bytes are the same. Filtered rows are left to the crate: its fast compressor takes a
//! third of a second for 20 megapixels.

use std::io::Write;

use flate2::write::ZlibEncoder;
use png::{BitDepth, ColorType, DeflateCompression, Encoder, Filter};

use crate::codec::palette::IndexedImage;
#[cfg(feature = "png-small")]
use crate::codec::png::small;
use crate::deadline::Deadline;
use crate::effort::PngEffort;
use crate::error::Error;
use crate::pixels::Pixels;

/// Compression of an image, and whether a filter precedes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    /// Adaptive filters and the fast compressor.
    Filtered,
    /// No filter, and deflate at this level.
    Unfiltered { level: u32 },
}

/// For photographs, whose colors change from pixel to pixel. Filters turn them into small numbers that rarely repeat in
/// sequence, so a fast compressor gains almost as much as a slow one. With [`FLAT`], photographs are a quarter larger
/// and take seven times as long.
const GRADUAL: Strategy = Strategy::Filtered;

/// For drawings, text and most images with alpha, in which sequences of pixels repeat. Deflate finds the repetitions if
/// no filter hides them. Level 6 is the default of libpng. Level 5 takes a quarter less time for 1 % more bytes, but up
/// to twice the bytes for very repetitive images.
const FLAT: Strategy = Strategy::Unfiltered { level: 6 };

/// A faster version of [`FLAT`] for the trial, and for [`PngEffort::Fast`].
const FLAT_FAST: Strategy = Strategy::Unfiltered { level: 2 };

/// Height of the bands from which the trial samples rows.
const BAND_ROWS: usize = 32;

/// Number of sampled rows per band.
const SAMPLED_ROWS: usize = 4;

/// Encodes gray or RGB pixels, with or without alpha, with the strategy that gives the smaller result for a sample of
/// their rows.
///
/// # Errors
/// The deadline passed, or [`Error::Encode`] if the encoder fails, which valid pixels do not cause.
pub(crate) fn encode(pixels: &Pixels, effort: PngEffort, deadline: Deadline) -> Result<Vec<u8>, Error> {
    let sample = sample_rows(pixels);
    let (gradual, flat) = (write(&sample, GRADUAL, deadline)?.len(), write(&sample, FLAT_FAST, deadline)?.len());
    // The measured ratio is at most 0.86 for photographs and at least 1.01 for other images. The trial of FLAT is about
    // 10 % larger than FLAT.
    let strategy = if 10 * gradual < 9 * flat { GRADUAL } else { flat_strategy(effort) };
    with_effort(write(pixels, strategy, deadline)?, (pixels.width, pixels.height), effort, deadline)
}

fn flat_strategy(effort: PngEffort) -> Strategy {
    if effort == PngEffort::Fast { FLAT_FAST } else { FLAT }
}

/// Memory in bytes that the effort takes in addition to the file, for so many pixels.
#[cfg_attr(not(feature = "png-small"), expect(unused_variables, reason = "no more effort"))]
pub(crate) fn effort_bytes(effort: PngEffort, pixels: u64) -> u64 {
    match effort {
        #[cfg(feature = "png-small")]
        PngEffort::Small => small::bytes(pixels),
        _ => 0,
    }
}

#[cfg_attr(not(feature = "png-small"), expect(unused_variables, clippy::unnecessary_wraps, reason = "no more effort"))]
fn with_effort(file: Vec<u8>, size: (u32, u32), effort: PngEffort, deadline: Deadline) -> Result<Vec<u8>, Error> {
    match effort {
        #[cfg(feature = "png-small")]
        PngEffort::Small => small::smaller(file, size, deadline),
        _ => Ok(file),
    }
}

/// The middle rows of each band of [`BAND_ROWS`] rows.
fn sample_rows(pixels: &Pixels) -> Pixels {
    let stride = pixels.width as usize * usize::from(pixels.channels);
    let mut sample = Pixels { height: 0, data: Vec::with_capacity(pixels.data.len() / 4), ..*pixels };
    for rows in pixels.data.chunks((stride * BAND_ROWS).max(1)) {
        let height = rows.len() / stride.max(1);
        let begin = height.saturating_sub(SAMPLED_ROWS) / 2;
        let sampled = height.min(SAMPLED_ROWS);
        sample.data.extend_from_slice(rows.get(begin * stride..(begin + sampled) * stride).unwrap_or_default());
        sample.height += u32::try_from(sampled).unwrap_or(0);
    }
    sample
}

fn write(pixels: &Pixels, strategy: Strategy, deadline: Deadline) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(pixels.data.len() / 2 + 1024);
    let mut encoder = Encoder::new(&mut bytes, pixels.width, pixels.height);
    encoder.set_color(match pixels.channels {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    let stride = pixels.width as usize * usize::from(pixels.channels);
    finish(encoder, &pixels.data, stride, strategy, deadline)?;
    Ok(bytes)
}

/// Encodes an image with a palette.
///
/// # Errors
/// The deadline passed, or [`Error::Encode`] if the encoder fails, which valid input does not cause.
pub(crate) fn encode_indexed(
    IndexedImage { palette, indices }: &IndexedImage,
    (width, height): (u32, u32),
    effort: PngEffort,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(indices.len() / 2 + 1024);
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_palette(palette.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect::<Vec<_>>());
    if palette.iter().any(|color| color[3] != u8::MAX) {
        encoder.set_trns(palette.iter().map(|color| color[3]).collect::<Vec<_>>());
    }
    // Indices repeat often, so a slower compressor pays off, and filters would only hide the repetitions.
    finish(encoder, indices, width as usize, flat_strategy(effort), deadline)?;
    with_effort(bytes, (width, height), effort, deadline)
}

fn finish(
    mut encoder: Encoder<'_, &mut Vec<u8>>,
    samples: &[u8],
    stride: usize,
    strategy: Strategy,
    deadline: Deadline,
) -> Result<(), Error> {
    let failed = |error: png::EncodingError| Error::Encode { reason: error.to_string() };
    encoder.set_deflate_compression(DeflateCompression::FdeflateUltraFast);
    encoder.set_filter(Filter::Adaptive);
    let mut writer = encoder.write_header().map_err(failed)?;
    match strategy {
        Strategy::Filtered => writer.write_image_data(samples).map_err(failed)?,
        Strategy::Unfiltered { level } => {
            let data = compress(samples, stride, level, deadline)?;
            writer.write_chunk(png::chunk::IDAT, &data).map_err(failed)?;
        }
    }
    writer.finish().map_err(failed)
}

/// Compresses rows, each preceded by its filter type, zero (PNG, third edition, section 9).
fn compress(samples: &[u8], stride: usize, level: u32, deadline: Deadline) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Encode { reason: error.to_string() };
    let mut zlib = ZlibEncoder::new(Vec::new(), flate2::Compression::new(level));
    for row in samples.chunks(stride.max(1)) {
        deadline.check()?;
        zlib.write_all(&[0]).and_then(|()| zlib.write_all(row)).map_err(failed)?;
    }
    zlib.finish().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 4]) -> Pixels {
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| color(x, y)).collect();
        Pixels { width, height, channels: 4, data }
    }

    /// A striped disc with a soft edge on a transparent background, and lines that resemble text below it.
    fn drawing(x: u32, y: u32) -> [u8; 4] {
        let (dx, dy) = (f64::from(x) - 150.0, f64::from(y) - 110.0);
        let alpha = ((100.0 - dx.hypot(dy)) * 128.0).clamp(0.0, 255.0);
        match (alpha as u8, x / 40 % 2, x * 7 % (9 + y / 16) < 4 && y % 16 < 9) {
            (0, _, true) => [40, 40, 40, 255],
            (0, _, false) => [0; 4],
            (alpha, 0, _) => [220, 60, 40, alpha],
            (alpha, ..) => [240, 240, 230, alpha],
        }
    }

    /// Gradients with noise.
    fn photograph(x: u32, y: u32) -> [u8; 4] {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917) >> 29;
        let sample = |n: u32| u8::try_from((n + grain) % 256).unwrap();
        [sample(x / 2), sample(y / 2 + 40), sample((x + y) / 4), 255]
    }

    /// Encodes with the encoder of the `png` crate alone.
    fn unstoppable(pixels: &Pixels, compression: DeflateCompression, filter: Filter) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, pixels.width, pixels.height);
        encoder.set_color(ColorType::Rgba);
        encoder.set_deflate_compression(compression);
        encoder.set_filter(filter);
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&pixels.data).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn unfiltered_images_have_the_bytes_of_the_png_crate() {
        for (width, height) in [(1, 1), (300, 220), (600, 440), (64, 5)] {
            for image in [image(width, height, drawing), image(width, height, photograph)] {
                let expected = unstoppable(&image, DeflateCompression::Level(6), Filter::NoFilter);
                assert_eq!(write(&image, FLAT, Deadline::NEVER).unwrap(), expected);
            }
        }
    }

    #[test]
    fn drawings_are_as_small_as_with_the_defaults_of_libpng() {
        for (width, height) in [(300, 220), (600, 440), (64, 5)] {
            let drawing = image(width, height, drawing);
            let bytes = encode(&drawing, PngEffort::Default, Deadline::NEVER).unwrap().len();
            let libpng = unstoppable(&drawing, DeflateCompression::Level(6), Filter::NoFilter).len();
            assert!(100 * bytes <= 103 * libpng, "{width}x{height}: {bytes} and {libpng} bytes");
        }
    }

    #[test]
    fn photographs_use_adaptive_filters() {
        for (width, height) in [(300, 220), (600, 440)] {
            let photograph = image(width, height, photograph);
            assert_eq!(
                encode(&photograph, PngEffort::Default, Deadline::NEVER).unwrap(),
                unstoppable(&photograph, DeflateCompression::FdeflateUltraFast, Filter::Adaptive)
            );
        }
    }

    #[test]
    fn sampled_rows_are_spread_over_the_height() {
        let striped = |height| image(3, height, |_, y| [u8::try_from(y % 256).unwrap(); 4]);
        let bands: [(u32, Vec<u8>); 4] = [
            (1, vec![0]),
            (8, (2..6).collect()),
            (64, (14..18).chain(46..50).collect()),
            (66, (14..18).chain(46..50).chain(64..66).collect()),
        ];
        for (height, tried) in bands {
            let sample = sample_rows(&striped(height));
            assert_eq!(sample.data.chunks(12).map(|row| row[0]).collect::<Vec<u8>>(), tried, "{height}");
            assert_eq!(sample.height as usize, tried.len());
        }
    }
}
