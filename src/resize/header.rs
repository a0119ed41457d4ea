//! What a picture says of itself before any of its pixels is decoded.

use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageResult};

use super::colour::PROFILE_BYTES_MAX;
use super::frame::Frame;
use super::{Limits, RenderError, sniff};
use crate::variant::Geometry;

/// The format that the bytes are in, whatever their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Jpeg,
    Png,
    WebP,
    Gif,
}

/// A header that has been read and found within the limits.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    pub codec: Codec,
    /// In pixels, as stored: before the orientation is applied.
    pub width: u32,
    pub height: u32,
    /// How the stored pixels are to be turned (EXIF 2.32, tag 274).
    pub orientation: Orientation,
    /// Whether it is a JPEG of four inks rather than of light.
    pub(super) is_ink: bool,
    /// Bytes of a decoded pixel as the codec gives it.
    pixel_bytes: u8,
    /// Bytes that the codec itself keeps for each pixel while it decodes.
    codec_bytes: u8,
    original_bytes: u64,
}

impl Header {
    /// Reads the header and holds it against `limits`; nothing is allocated for pixels.
    ///
    /// # Errors
    /// Not a picture, a format that is not decoded, a damaged header, or more pixels than `limits.input_pixels`.
    pub fn read(original: &[u8], limits: &Limits) -> Result<Self, RenderError> {
        let codec = codec(original)?;
        if codec == Codec::Png {
            // Its decoder allocates a row as soon as it has the header.
            check_pixels(png_size(original), limits)?;
        }
        let damaged = |error: image::ImageError| RenderError::Damaged { reason: error.to_string() };
        let read = |decoder: ImageResult<Box<dyn ImageDecoder + '_>>| -> ImageResult<_> {
            let mut decoder = decoder?;
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            Ok((decoder.dimensions(), decoder.color_type(), orientation))
        };
        let ((width, height), colour, orientation) = read(decoder(codec, original)).map_err(damaged)?;
        if width == 0 || height == 0 {
            return Err(RenderError::Damaged { reason: "it has no pixels".to_owned() });
        }
        check_pixels((width, height), limits)?;
        let jpeg = if codec == Codec::Jpeg { jpeg_frame(original) } else { None };
        let is_ink = jpeg.is_some_and(|(_, components)| components == 4);
        Ok(Self {
            codec,
            width,
            height,
            orientation,
            is_ink,
            pixel_bytes: if is_ink { 4 } else { colour.bytes_per_pixel() },
            codec_bytes: codec_bytes(codec, jpeg),
            original_bytes: original.len() as u64,
        })
    }

    /// Width and height as the picture is meant to be seen.
    #[must_use]
    pub fn oriented_size(&self) -> (u32, u32) {
        match self.orientation {
            Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH => (self.height, self.width),
            _ => (self.width, self.height),
        }
    }

    /// An upper bound, in bytes, of what [`super::render`] allocates for this picture and `geometry`.
    #[must_use]
    pub fn working_bytes(&self, geometry: Geometry) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let (width, height) = Frame::new(self.oriented_size(), geometry).size();
        let output = u64::from(width.get()) * u64::from(height.get());
        // Convolution first makes the picture narrower: that many columns of the whole height, at four bytes a pixel.
        let narrowed = 4 * u64::from(width.max(height).get()) * u64::from(self.width.max(self.height));
        // The decoders hold a copy of the original; 16-bit pixels are made 8-bit in a second buffer.
        let eight_bit = if self.pixel_bytes > 4 { 4 * pixels } else { 0 };
        let decoded = pixels * u64::from(self.pixel_bytes) + eight_bit;
        // Scaled, oriented, and being encoded, with the encoder's own planes.
        self.original_bytes + decoded + pixels * u64::from(self.codec_bytes) + narrowed + 16 * output + PROFILE_BYTES
    }
}

/// A profile as it is read, and the tables made of it.
const PROFILE_BYTES: u64 = 2 * PROFILE_BYTES_MAX as u64;

fn check_pixels((width, height): (u32, u32), limits: &Limits) -> Result<(), RenderError> {
    if u64::from(width) * u64::from(height) > limits.input_pixels {
        return Err(RenderError::TooManyPixels { width, height, pixels_max: limits.input_pixels });
    }
    Ok(())
}

/// The size in the IHDR chunk, which comes first (PNG, third edition, section 11.2.1). Zeros where it is cut off.
fn png_size(original: &[u8]) -> (u32, u32) {
    let at = |offset: usize| original.get(offset..).and_then(<[u8]>::first_chunk).map_or(0, |n| u32::from_be_bytes(*n));
    (at(16), at(20))
}

fn codec(original: &[u8]) -> Result<Codec, RenderError> {
    let unsupported = |format| Err(RenderError::UnsupportedFormat { format });
    match sniff(original) {
        Some("image/jpeg") => Ok(Codec::Jpeg),
        Some("image/png") => Ok(Codec::Png),
        Some("image/webp") => Ok(Codec::WebP),
        Some("image/gif") => Ok(Codec::Gif),
        Some("image/avif") => unsupported("AVIF"),
        Some("image/heic") => unsupported("HEIC"),
        Some("image/jxl") => unsupported("JPEG XL"),
        Some("image/tiff") => unsupported("TIFF"),
        Some("image/bmp") => unsupported("BMP"),
        Some("image/x-icon") => unsupported("ICO"),
        Some(_) | None => Err(RenderError::NotAnImage),
    }
}

/// The decoder for `codec`, its header read.
pub(super) fn decoder<'a>(codec: Codec, original: &'a [u8]) -> ImageResult<Box<dyn ImageDecoder + 'a>> {
    let bytes = Cursor::new(original);
    Ok(match codec {
        Codec::Jpeg => Box::new(JpegDecoder::new(bytes)?),
        Codec::Png => Box::new(PngDecoder::new(bytes)?),
        Codec::WebP => Box::new(WebPDecoder::new(bytes)?),
        Codec::Gif => Box::new(GifDecoder::new(bytes)?),
    })
}

/// Bytes that a codec keeps for each pixel besides its output.
fn codec_bytes(codec: Codec, jpeg: Option<(u8, u8)>) -> u8 {
    match codec {
        // All coefficients of a progressive picture, 16 bits each, for as many planes as there are, and which of them are
        // not zero.
        Codec::Jpeg => match jpeg {
            Some((0xC2 | 0xC6 | 0xCA | 0xCE, components)) => 2 * components.min(4) + 1,
            _ => 0,
        },
        Codec::Png => 0,
        // Planes of 4:2:0, or the pixels of a lossless one.
        Codec::WebP => 4,
        // The frame before it is put on its canvas.
        Codec::Gif => 4,
    }
}

/// The marker of a JPEG's frame header, which says how it is coded, and the number of its components (ITU-T T.81, tables
/// B.1 and B.2).
fn jpeg_frame(original: &[u8]) -> Option<(u8, u8)> {
    let mut rest = original.get(2..)?;
    while let [0xFF, marker, after @ ..] = rest {
        match marker {
            // SOF0 to SOF15 without DHT, JPG and DAC, which have numbers among them.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => return Some((*marker, *after.get(7)?)),
            0xDA | 0xD9 => return None,
            // Fill bytes (section B.1.1.2).
            0xFF => rest = rest.get(1..)?,
            _ => {
                let length = after.first_chunk().map(|length| u16::from_be_bytes(*length))?;
                rest = after.get(usize::from(length.max(2))..)?;
            }
        }
    }
    None
}
