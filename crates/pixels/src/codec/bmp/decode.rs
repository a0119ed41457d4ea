//! Decoding of BMP, which runs only in the sandboxed process.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::{ImageDecoder as _, ImageResult};

use crate::pixel_image::{PixelImage, PixelLayout, PixelShape};

/// # Errors
/// The reason why the data cannot be decoded, or do not have this shape.
pub(crate) fn decode(bmp: &[u8], shape: PixelShape) -> Result<PixelImage, String> {
    let data = read(bmp, shape).map_err(|error| error.to_string())?;
    let mut data = data.ok_or_else(|| "its size differs from its header".to_owned())?;
    // Some programs write alpha as 0 but mean opaque pixels, and browsers show them.
    if shape.layout == PixelLayout::Rgba && data.iter().skip(3).step_by(4).all(|alpha| *alpha == 0) {
        data.iter_mut().skip(3).step_by(4).for_each(|alpha| *alpha = u8::MAX);
    }
    Ok(PixelImage { shape, profile: None, data })
}

fn read(bmp: &[u8], shape: PixelShape) -> ImageResult<Option<Vec<u8>>> {
    let decoder = BmpDecoder::new(Cursor::new(bmp))?;
    let channels = decoder.color_type().channel_count();
    if decoder.dimensions() != (shape.width, shape.height) || channels != shape.layout.channels() {
        return Ok(None);
    }
    let bytes = usize::try_from(decoder.total_bytes()).unwrap_or(usize::MAX);
    let mut data = vec![0; bytes];
    decoder.read_image(&mut data)?;
    Ok(Some(data))
}
