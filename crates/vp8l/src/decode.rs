//! Decodes a stream to pixels.

use planes::Error;

use crate::Pixel;
use crate::entropy_image::ImageReader;
use crate::header::{HEADER_BYTES, Header};
use crate::options::Options;
use crate::transform::Transforms;

/// Decodes the pixels in row order. `header` must have been read from the same bytes.
///
/// # Errors
/// The stream is damaged or truncated, or [`Options::should_continue`] returned `false`.
pub fn decode(data: &[u8], header: &Header, options: &Options<'_>) -> Result<Vec<Pixel>, Error> {
    let data = data.get(HEADER_BYTES..).ok_or(Error::Truncated)?;
    decode_headerless(data, header.width, header.height, options)
}

/// Decodes a stream without a header, whose size is known from elsewhere, such as that of an alpha plane. Alpha is in the
/// green samples (RFC 9649, section 2.7.1.2).
///
/// # Errors
/// The stream is damaged or truncated, or [`Options::should_continue`] returned `false`.
pub fn decode_headerless(data: &[u8], width: u32, height: u32, options: &Options<'_>) -> Result<Vec<Pixel>, Error> {
    let (width, height) = (width as usize, height as usize);
    if width == 0 || height == 0 {
        return Err(Error::Damaged("zero width or height"));
    }
    let mut reader = ImageReader::new(data, *options);
    let (transforms, coded_width) = Transforms::read(&mut reader, width, height)?;
    let mut pixels = vec![[0; 4]; width * height];
    let coded_from = (width - coded_width) * height;
    reader.read_main(&mut pixels[coded_from..], coded_width)?;
    transforms.invert(&mut pixels, (width, coded_width), options)?;
    Ok(pixels)
}
