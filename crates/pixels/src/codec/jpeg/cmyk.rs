//! Decodes CMYK and YCCK JPEG files. YCCK stores cyan, magenta and yellow as luma and chroma.

use zune_jpeg::zune_core::colorspace::ColorSpace;

use crate::codec::jpeg;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::pixels::Pixels;

/// Decodes to cyan, magenta, yellow and black, in which 255 is full ink. Also returns the ICC profile.
///
/// Files with an Adobe marker store inverted samples. Files without one do not (as in libvips and Pillow).
///
/// # Errors
/// The data is damaged, or uses an unsupported feature.
pub(crate) fn decode(original: &[u8], context: &RenderContext) -> Result<(Pixels, Option<Vec<u8>>), Error> {
    let mut decoder = jpeg::open(original, jpeg::options(original, context))?;
    let stored = decoder.input_colorspace().unwrap_or(ColorSpace::CMYK);
    if !matches!(stored, ColorSpace::CMYK | ColorSpace::YCCK) {
        return Err(damaged("four channels other than CMYK"));
    }
    let (mut pixels, profile) = jpeg::decode_as(&mut decoder, stored, 4)?;
    let is_inverted = jpeg::has_adobe_marker(original);
    for pixel in pixels.data.chunks_exact_mut(4) {
        if stored == ColorSpace::YCCK {
            // Luma and chroma encode the inverse of the first three inks (Adobe Technical Note 5116, section 18).
            let left = from_luma(pixel[0], pixel[1], pixel[2]);
            pixel[..3].copy_from_slice(&left.map(|sample| 255 - sample));
        }
        if is_inverted {
            pixel.iter_mut().for_each(|sample| *sample = 255 - *sample);
        }
    }
    Ok((pixels, profile))
}

/// The inverse matrix of JFIF (ITU-T T.871, section 7), in fixed point with 16 fractional bits.
fn from_luma(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (i32::from(luma) << 16, i32::from(blue) - 128, i32::from(red) - 128);
    let sample = |sum: i32| u8::try_from(((sum + (1 << 15)) >> 16).clamp(0, 255)).unwrap_or(0);
    [
        // The weights 1.402, 0.344136, 0.714136 and 1.772.
        sample(luma + 91_881 * red),
        sample(luma - 22_554 * blue - 46_802 * red),
        sample(luma + 116_130 * blue),
    ]
}
