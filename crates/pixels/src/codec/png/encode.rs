//! PNG as it is written: without loss, so all there is to choose is time and bytes.

use png::{BitDepth, ColorType, Compression, DeflateCompression, Encoder, Filter};

use crate::codec::palette::IndexedImage;
use crate::error::Error;
use crate::pixels::Pixels;

/// How rows are filtered, and what of deflate they get.
type Way = (DeflateCompression, Filter);

/// Colors that change from pixel to pixel, as in photographs: filters leave small numbers that hardly ever come again in the
/// same order, so the quick end of deflate has next to all there is to gain. By [`FLAT`] photographs are a quarter larger and
/// take seven times as long. benches/README.md has the table.
const GRADUAL: Way = (DeflateCompression::FdeflateUltraFast, Filter::Adaptive);

/// Colors that come again, as in drawings, text, and most of what has alpha: deflate finds them where no filter hides them.
/// Level 6 is what libpng does by itself. Level 5 takes a quarter less time for 1 % more bytes, but may need twice the bytes
/// where everything comes again.
const FLAT: Way = (DeflateCompression::Level(6), Filter::NoFilter);

/// [`FLAT`] in less time, to guess by.
const FLAT_TRIAL: Way = (DeflateCompression::Level(2), Filter::NoFilter);

/// Of so many rows, so many are tried both ways.
const TRIED_OF: usize = 32;
const TRIED: usize = 4;

/// Encodes gray or RGB pixels, with or without alpha, in the way that is smaller for some of their rows.
///
/// # Errors
/// [`Error::Encode`]: a fault of ours.
pub(crate) fn encode(pixels: &Pixels) -> Result<Vec<u8>, Error> {
    let some = some_rows(pixels);
    let (gradual, flat) = (write(&some, GRADUAL)?.len(), write(&some, FLAT_TRIAL)?.len());
    // Of photographs it is at most 0.86, of all else at least 1.01; and the trial is some 10 % larger than what comes of it.
    write(pixels, if 10 * gradual < 9 * flat { GRADUAL } else { FLAT })
}

/// The middle rows of each [`TRIED_OF`].
fn some_rows(pixels: &Pixels) -> Pixels {
    let stride = pixels.width as usize * usize::from(pixels.channels);
    let mut some = Pixels { height: 0, data: Vec::with_capacity(pixels.data.len() / 4), ..*pixels };
    for rows in pixels.data.chunks((stride * TRIED_OF).max(1)) {
        let height = rows.len() / stride.max(1);
        let begin = height.saturating_sub(TRIED) / 2;
        let tried = height.min(TRIED);
        some.data.extend_from_slice(rows.get(begin * stride..(begin + tried) * stride).unwrap_or_default());
        some.height += u32::try_from(tried).unwrap_or(0);
    }
    some
}

fn write(pixels: &Pixels, (compression, filter): Way) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(pixels.data.len() / 2 + 1024);
    let mut encoder = Encoder::new(&mut bytes, pixels.width, pixels.height);
    encoder.set_color(match pixels.channels {
        1 => ColorType::Grayscale,
        2 => ColorType::GrayscaleAlpha,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_deflate_compression(compression);
    encoder.set_filter(filter);
    finish(encoder, &pixels.data)?;
    Ok(bytes)
}

/// Encodes pixels of a palette.
///
/// # Errors
/// [`Error::Encode`]: a fault of ours.
pub(crate) fn encode_indexed(
    IndexedImage { palette, indices }: &IndexedImage,
    (width, height): (u32, u32),
) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(indices.len() / 2 + 1024);
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Indexed);
    encoder.set_palette(palette.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect::<Vec<_>>());
    if palette.iter().any(|color| color[3] != u8::MAX) {
        encoder.set_trns(palette.iter().map(|color| color[3]).collect::<Vec<_>>());
    }
    // Few colors repeat: what deflate finds for its time is worth it, and filters only hide it.
    encoder.set_compression(Compression::Balanced);
    encoder.set_filter(Filter::NoFilter);
    finish(encoder, indices)?;
    Ok(bytes)
}

fn finish(encoder: Encoder<'_, &mut Vec<u8>>, samples: &[u8]) -> Result<(), Error> {
    let failed = |error: png::EncodingError| Error::Encode { reason: error.to_string() };
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(samples).map_err(failed)?;
    writer.finish().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 4]) -> Pixels {
        let data = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| color(x, y)).collect();
        Pixels { width, height, channels: 4, data }
    }

    /// A disc with a soft edge on nothing, stripes on it, and lines like those of text below.
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

    /// Slopes with grain on them.
    fn photograph(x: u32, y: u32) -> [u8; 4] {
        let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(2_246_822_519)).wrapping_mul(3_266_489_917) >> 29;
        let sample = |n: u32| u8::try_from((n + grain) % 256).unwrap();
        [sample(x / 2), sample(y / 2 + 40), sample((x + y) / 4), 255]
    }

    #[test]
    fn drawings_are_as_small_as_those_of_libpng() {
        for (width, height) in [(300, 220), (600, 440), (64, 5)] {
            let drawing = picture(width, height, drawing);
            let bytes = encode(&drawing).unwrap().len();
            let libpng = write(&drawing, (DeflateCompression::Level(6), Filter::NoFilter)).unwrap().len();
            assert!(100 * bytes <= 103 * libpng, "{width}x{height}: {bytes} and {libpng} bytes");
        }
    }

    #[test]
    fn photographs_are_filtered() {
        for (width, height) in [(300, 220), (600, 440)] {
            let photograph = picture(width, height, photograph);
            assert_eq!(encode(&photograph).unwrap(), write(&photograph, GRADUAL).unwrap());
        }
    }

    #[test]
    fn rows_of_the_whole_height_are_tried() {
        let striped = |height| picture(3, height, |_, y| [u8::try_from(y % 256).unwrap(); 4]);
        let bands: [(u32, Vec<u8>); 4] = [
            (1, vec![0]),
            (8, (2..6).collect()),
            (64, (14..18).chain(46..50).collect()),
            (66, (14..18).chain(46..50).chain(64..66).collect()),
        ];
        for (height, tried) in bands {
            let some = some_rows(&striped(height));
            assert_eq!(some.data.chunks(12).map(|row| row[0]).collect::<Vec<u8>>(), tried, "{height}");
            assert_eq!(some.height as usize, tried.len());
        }
    }
}
