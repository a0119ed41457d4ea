//! Variants with the pixels of their original: if encoding them again gains nothing, the original is the variant.

use image::metadata::Orientation;

use crate::codec::{gif, jpeg, png, webp};
use crate::codecs::Codec;
use crate::header::Header;
use crate::limits::{Incomplete, Limits};
use crate::output::OutputSpec;
use crate::transform::color::Conversion;
use crate::transform::crop::CropWindow;

/// True if the variant has the format and all pixels of its original, unchanged but for the losses of encoding it again.
/// False if the limits allow damaged originals, because the damage would be copied.
pub(crate) fn keeps_pixels(
    header: &Header,
    output: OutputSpec,
    crop_window: &CropWindow,
    conversion: &Conversion,
    limits: &Limits,
) -> bool {
    let (width, height) = crop_window.size();
    header.codec.format() == Some(output.encoding.format())
        && header.info.orientation == Orientation::NoTransforms
        && (width.get(), height.get()) == (header.info.width, header.info.height)
        && conversion.is_none()
        && limits.incomplete == Incomplete::Refuse
}

/// The smaller of the encoded variant and the original without metadata. Of equal sizes the original is taken, because its
/// pixels are exact. The copy is not larger than the variant, and is made when the pixels are no longer in memory.
pub(crate) fn smaller(encoded: Vec<u8>, original: &[u8], header: &Header, is_animated: bool) -> Vec<u8> {
    stripped(original, header, is_animated, encoded.len()).unwrap_or(encoded)
}

/// The original without metadata, if it is an animation exactly if `is_animated` is set. Its pixels, its animation and its
/// color profile stay as they are. `None` if the result would have more than `bytes_max`, or if the file is damaged or has
/// features for which the copy may not look like the original.
fn stripped(original: &[u8], header: &Header, is_animated: bool, bytes_max: usize) -> Option<Vec<u8>> {
    let mut length = 0_usize;
    keep_parts(original, header.codec, is_animated, &mut |part| length += part.len())?;
    if length > bytes_max {
        return None;
    }
    let mut bytes = Vec::with_capacity(length);
    keep_parts(original, header.codec, is_animated, &mut |part| bytes.extend_from_slice(part))?;
    match header.codec {
        Codec::WebP => webp::strip::update_header(&mut bytes)?,
        Codec::Gif => gif::strip::set_screen(&mut bytes, (header.info.width, header.info.height))?,
        _ => {}
    }
    Some(bytes)
}

/// Passes the parts of the original that are kept to `keep`, in order.
fn keep_parts<'a>(original: &'a [u8], codec: Codec, is_animated: bool, keep: &mut dyn FnMut(&'a [u8])) -> Option<()> {
    match codec {
        Codec::Jpeg => jpeg::strip::strip(original, keep),
        Codec::Png => png::strip::strip(original, is_animated, keep),
        Codec::WebP => webp::strip::strip(original, is_animated, keep),
        Codec::Gif => gif::strip::strip(original, keep),
        Codec::Avif | Codec::Heic | Codec::JpegXl | Codec::Tiff | Codec::Bmp | Codec::Ico | Codec::Svg => None,
    }
}
