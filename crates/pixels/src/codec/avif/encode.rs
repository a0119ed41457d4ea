//! Encodes AVIF with rav1e, a pure Rust encoder: one AV1 still image for color, and another for alpha.
//!
//! Colors are encoded as full-range BT.601 in 4:2:0, gray images as luma only.

use avif_serialize::Aviffy;
use avif_serialize::constants::MatrixCoefficients;

use crate::context::RenderContext;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// Encodes gray or RGB pixels, with or without alpha.
pub(crate) fn encode(pixels: &Pixels, quality: Quality, context: &RenderContext) -> Result<Vec<u8>, Error> {
    let still = |planes: &[Vec<u8>], quantizer| {
        context.deadline.check()?;
        av1_still::encode(pixels.width as usize, pixels.height as usize, planes, quantizer)
            .map_err(|reason| Error::Encode { reason })
    };
    let quantizer = quantizer(quality);
    let (planes, alpha) = planes(pixels);
    let color = still(&planes, quantizer)?;
    let opaque = alpha.iter().all(|&alpha| alpha == u8::MAX);
    // Errors at the edges of alpha are more visible than color errors, so alpha has a finer quantizer.
    let alpha = if opaque { None } else { Some(still(&[alpha], quantizer / 2)?) };
    let is_gray = planes.len() == 1;
    let mut file = Aviffy::new();
    file.set_matrix_coefficients(MatrixCoefficients::Bt601);
    if is_gray {
        file.set_monochrome(true);
    }
    file.set_chroma_subsampling((true, true));
    let mut bytes = Vec::with_capacity(color.len() + 512);
    file.write(&mut bytes, &color, alpha.as_deref(), pixels.width, pixels.height, 8).map_err(|error| failed(&error))?;
    Ok(bytes)
}

/// Returns the color planes (luma, or luma and both chroma planes) and the alpha plane. Alpha is opaque if the pixels
/// have no alpha channel.
fn planes(pixels: &Pixels) -> (Vec<Vec<u8>>, Vec<u8>) {
    let channels = usize::from(pixels.channels);
    let all = pixels.data.chunks_exact(channels);
    let alpha = match channels {
        2 | 4 => all.clone().map(|pixel| pixel[channels - 1]).collect(),
        _ => vec![u8::MAX; all.len()],
    };
    if channels <= 2 {
        return (vec![all.map(|pixel| pixel[0]).collect()], alpha);
    }
    let luma = all.map(|pixel| luma(i32::from(pixel[0]), i32::from(pixel[1]), i32::from(pixel[2]))).collect();
    let stride = pixels.width as usize * channels;
    let (mut blue, mut red) = (Vec::new(), Vec::new());
    for rows in pixels.data.chunks(2 * stride) {
        for x in (0..stride).step_by(2 * channels) {
            // A square of 2 x 2 pixels, of which only a part exists at the right and bottom edges.
            let places = [x, x + channels, stride + x, stride + x + channels];
            let inside =
                [true, x + channels < stride, rows.len() > stride, x + channels < stride && rows.len() > stride];
            let seen = places.into_iter().zip(inside).filter(|(_, inside)| *inside).map(|(at, _)| &rows[at..at + 3]);
            let (sums, count) = seen.fold(([0_i32; 3], 0), |([r, g, b], n), pixel| {
                ([r + i32::from(pixel[0]), g + i32::from(pixel[1]), b + i32::from(pixel[2])], n + 1)
            });
            let [r, g, b] = sums.map(|sum| (sum + count / 2) / count);
            // The chroma rows of the BT.601 matrix (ITU-T T.871, section 7), in fixed point with 16 fractional bits.
            blue.push(byte((-11_059 * r - 21_709 * g + 32_768 * b + (128 << 16) + (1 << 15)) >> 16));
            red.push(byte((32_768 * r - 27_439 * g - 5_329 * b + (128 << 16) + (1 << 15)) >> 16));
        }
    }
    (vec![luma, blue, red], alpha)
}

fn luma(r: i32, g: i32, b: i32) -> u8 {
    byte((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16)
}

fn byte(sample: i32) -> u8 {
    u8::try_from(sample.clamp(0, 255)).unwrap_or(0)
}

/// Maps a quality of 1 to 100 linearly to the quantizer indices 255 to 0 of AV1.
fn quantizer(quality: Quality) -> usize {
    (255 * (100 - usize::from(quality.get())) + 50) / 100
}

fn failed(error: &dyn ToString) -> Error {
    Error::Encode { reason: error.to_string() }
}
