//! Decoding of icons with one picture, which runs only in the sandboxed process.

use std::io::Cursor;

use image::codecs::ico::IcoDecoder;
use image::codecs::png::PngDecoder;
use image::{DynamicImage, ImageResult};

use crate::codec::ico::Picture;
use crate::pixel_image::{PixelImage, PixelLayout, PixelShape};

/// # Errors
/// The reason why the data cannot be decoded, or do not have this shape.
pub(crate) fn decode(ico: &[u8], shape: PixelShape) -> Result<PixelImage, String> {
    let picture = Picture::largest(ico).map_err(|error| error.to_string())?;
    let image = read(ico, picture.bytes).map_err(|error| error.to_string())?.into_rgba8();
    if image.dimensions() != (shape.width, shape.height) || shape.layout != PixelLayout::Rgba {
        return Err("its size differs from its header".to_owned());
    }
    Ok(PixelImage { shape, profile: None, data: image.into_raw() })
}

/// `image` decodes only PNGs in RGBA within icons, so PNGs are decoded directly.
fn read(ico: &[u8], picture: &[u8]) -> ImageResult<DynamicImage> {
    if picture.starts_with(b"\x89PNG") {
        return DynamicImage::from_decoder(PngDecoder::new(Cursor::new(picture))?);
    }
    DynamicImage::from_decoder(IcoDecoder::new(Cursor::new(ico))?)
}
