//! JPEGs of inks: CMYK, and YCCK, which is CMYK with three of its channels as luma and chroma.

use zune_jpeg::zune_core::colorspace::ColorSpace;

use crate::codec::jpeg;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::pixels::Pixels;

/// The picture as cyan, magenta, yellow and black, 255 being all of an ink; and its profile.
///
/// With an Adobe marker, samples are stored inverted; without one, they are what they say (as libvips and Pillow have it).
///
/// # Errors
/// The bytes are damaged, or of a kind that the codec does not know.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    let mut decoder = jpeg::open(original, jpeg::options(original, context))?;
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::CMYK);
    if !matches!(stored, ColorSpace::CMYK | ColorSpace::YCCK) {
        return Err(damaged("four channels that are not CMYK"));
    }
    let (mut pixels, profile) = jpeg::decode_as(&mut decoder, stored, 4)?;
    let is_inverted = jpeg::has_adobe_marker(original);
    for pixel in pixels.data.chunks_exact_mut(4) {
        if stored == ColorSpace::YCCK {
            // Luma and chroma are of what the first three inks leave (Adobe Technical Note 5116, section 18).
            let left = from_luma(pixel[0], pixel[1], pixel[2]);
            pixel[..3].copy_from_slice(&left.map(|sample| 255 - sample));
        }
        if is_inverted {
            pixel.iter_mut().for_each(|sample| *sample = 255 - *sample);
        }
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
