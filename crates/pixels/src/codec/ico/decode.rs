//! Decoding of icons with one picture, which runs only in the sandboxed process.

use std::io::Cursor;

use image::codecs::ico::IcoDecoder;
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageResult, RgbaImage};

use crate::codec::ico::Picture;
use crate::pixel_image::{PixelImage, PixelLayout, PixelShape};

/// # Errors
/// The reason why the data cannot be decoded, or do not have this shape.
pub(crate) fn decode(ico: &[u8], shape: PixelShape) -> Result<PixelImage, String> {
    let picture = Picture::largest(ico).map_err(|error| error.to_string())?;
    let mut image = read(ico, picture.bytes).map_err(|error| error.to_string())?.into_rgba8();
    if image.dimensions() != (shape.width, shape.height) || shape.layout != PixelLayout::Rgba {
        return Err("its size differs from its header".to_owned());
    }
    // Some programs write alpha as 0 and only the mask tells which pixels are transparent.
    if image.pixels().all(|pixel| pixel.0[3] == 0)
        && let Some(after_pixels) = after_pixels(picture.bytes, shape)
    {
        apply_mask(&mut image, after_pixels);
    }
    Ok(PixelImage { shape, profile: None, data: image.into_raw() })
}

const PNG: &[u8] = b"\x89PNG";

/// The bytes after the pixels of a bitmap with 32 bits per pixel.
fn after_pixels(bitmap: &[u8], PixelShape { width, height, .. }: PixelShape) -> Option<&[u8]> {
    let header_bytes = u32::from_le_bytes(*bitmap.first_chunk()?);
    let is_32_bits = !bitmap.starts_with(PNG) && *bitmap.get(14..)?.first_chunk()? == 32_u16.to_le_bytes();
    let start = u64::from(header_bytes) + 4 * u64::from(width) * u64::from(height);
    if is_32_bits { bitmap.get(usize::try_from(start).ok()?..) } else { None }
}

/// Makes all pixels opaque but those of which the mask has a bit. It has one bit per pixel; its rows are stored from the
/// bottom to the top and have a multiple of four bytes. Bits that are missing are zero.
fn apply_mask(image: &mut RgbaImage, mask: &[u8]) {
    let row_bytes = image.width().div_ceil(32) as usize * 4;
    let height = image.height();
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let byte = mask.get((height - 1 - y) as usize * row_bytes + x as usize / 8).copied().unwrap_or(0);
        pixel.0[3] = if byte << (x % 8) & 0x80 == 0 { u8::MAX } else { 0 };
    }
}

/// `image` decodes only PNGs in RGBA within icons, so PNGs are decoded directly.
fn read(ico: &[u8], picture: &[u8]) -> ImageResult<DynamicImage> {
    if picture.starts_with(PNG) {
        return DynamicImage::from_decoder(PngDecoder::new(Cursor::new(picture))?);
    }
    DynamicImage::from_decoder(IcoDecoder::new(Cursor::new(ico))?)
}
