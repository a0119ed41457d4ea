//! From bytes to pixels: eight bits a sample, in the stored orientation.

use image::{DynamicImage, ImageDecoder, Limits as Allocation};

use super::colour::Conversion;
use super::header::{Header, decoder};
use super::scale::Pixels;
use super::{Codec, RenderError, ink};

/// The whole picture, and how its samples become sRGB.
pub(super) struct Decoded {
    pub(super) pixels: Pixels,
    pub(super) conversion: Conversion,
}

/// Decodes the whole picture, or the first frame of an animation.
///
/// # Errors
/// The bytes are damaged, or of a kind that the codec does not know.
pub(super) fn decode(original: &[u8], header: &Header) -> Result<Decoded, RenderError> {
    if header.is_ink {
        let (pixels, profile) = ink::decode(original, &allocation(header))?;
        return Ok(Decoded { pixels, conversion: Conversion::of_ink(profile.as_deref()) });
    }
    let damaged = |error: image::ImageError| RenderError::Damaged { reason: error.to_string() };
    let mut decoder = decoder(header.codec, original).map_err(damaged)?;
    decoder.set_limits(allocation(header)).map_err(damaged)?;
    // A profile that cannot be read is none: the picture can.
    let profile = decoder.icc_profile().ok().flatten();
    let pixels = eight_bit(DynamicImage::from_decoder(decoder).map_err(damaged)?);
    let conversion = Conversion::of_light(profile.as_deref(), pixels.channels);
    Ok(Decoded { pixels, conversion })
}

/// What the codec may allocate: the header was checked, so this only catches one that contradicts its header.
fn allocation(header: &Header) -> Allocation {
    let mut limits = Allocation::default();
    limits.max_image_width = Some(header.width);
    limits.max_image_height = Some(header.height);
    let pixels = u64::from(header.width) * u64::from(header.height);
    let bytes_a_pixel = match header.codec {
        Codec::Jpeg => 16,
        Codec::Png | Codec::WebP | Codec::Gif => 24,
    };
    limits.max_alloc = Some(pixels * bytes_a_pixel + (64 << 20));
    limits
}

/// 16-bit samples become 8-bit ones, rounded; what has colours gets three channels, what is grey stays so.
fn eight_bit(picture: DynamicImage) -> Pixels {
    let (width, height) = (picture.width(), picture.height());
    let (channels, data) = match picture {
        DynamicImage::ImageLuma8(picture) => (1, picture.into_raw()),
        DynamicImage::ImageLumaA8(picture) => (2, picture.into_raw()),
        DynamicImage::ImageRgb8(picture) => (3, picture.into_raw()),
        DynamicImage::ImageRgba8(picture) => (4, picture.into_raw()),
        DynamicImage::ImageLuma16(_) => (1, picture.into_luma8().into_raw()),
        DynamicImage::ImageLumaA16(_) => (2, picture.into_luma_alpha8().into_raw()),
        picture if picture.color().has_alpha() => (4, picture.into_rgba8().into_raw()),
        picture => (3, picture.into_rgb8().into_raw()),
    };
    Pixels { width, height, channels, data }
}
