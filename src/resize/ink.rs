//! JPEGs of inks: CMYK, and YCCK, which is CMYK with three of its channels as luma and chroma.

use zune_jpeg::zune_core::colorspace::ColorSpace;

use super::RenderError;
use super::decode::Job;
use super::jpeg;
use super::scale::Pixels;

/// The picture as cyan, magenta, yellow and black, 255 being all of an ink; and its profile.
///
/// Samples are taken to be stored inverted, as Adobe's programs write them and as every browser reads them, with or
/// without the Adobe marker that should say so.
///
/// # Errors
/// The bytes are damaged, or of a kind that the codec does not know.
pub(super) fn decode(original: &[u8], job: &Job) -> Result<(Pixels, Option<Vec<u8>>), RenderError> {
    let mut decoder = jpeg::open(original, jpeg::options(original, job))?;
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::CMYK);
    if !matches!(stored, ColorSpace::CMYK | ColorSpace::YCCK) {
        return Err(RenderError::Damaged { reason: "four channels that are not CMYK".to_owned() });
    }
    let (mut pixels, profile) = jpeg::decode_as(&mut decoder, stored, 4)?;
    for pixel in pixels.data.chunks_exact_mut(4) {
        let [c, m, y, k] = [pixel[0], pixel[1], pixel[2], 255 - pixel[3]];
        let inks = match stored {
            ColorSpace::YCCK => from_luma(c, m, y),
            _ => [255 - c, 255 - m, 255 - y],
        };
        pixel.copy_from_slice(&[inks[0], inks[1], inks[2], k]);
    }
    Ok((pixels, profile))
}

/// The inverse of JFIF's luma and chroma (ITU-T T.871 section 7), in 16 bits of fraction.
fn from_luma(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma) << 16, i32::from(blue) - 128, i32::from(red) - 128);
    let sample = |sum: i32| u8::try_from(((sum + (1 << 15)) >> 16).clamp(0, 255)).unwrap_or(0);
    [
        // 1.402, 0.344136, 0.714136 and 1.772.
        sample(luma + 91_881 * red),
        sample(luma - 22_554 * blue - 46_802 * red),
        sample(luma + 116_130 * blue),
    ]
}
