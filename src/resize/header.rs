//! What a picture says of itself before any of its pixels is decoded.

use image::metadata::Orientation;

use super::colour::PROFILE_BYTES_MAX;
use super::decode::Facts;
use super::frame::Frame;
use super::{Limits, RenderError, gif, jpeg, png, riff, sniff};
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
    /// One, or those of an animation.
    pub frames: u32,
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
            check_pixels(png::size(original), limits)?;
        }
        let facts = match codec {
            Codec::Jpeg => jpeg::facts(original)?,
            Codec::Png => png::facts(original)?,
            Codec::WebP => riff::facts(original)?,
            Codec::Gif => gif::facts(original)?,
        };
        check_pixels(facts.size, limits)?;
        let Facts { size: (width, height), orientation, pixel_bytes, codec_bytes, frames } = facts;
        let is_ink = codec == Codec::Jpeg && jpeg::is_ink(&facts);
        let original_bytes = original.len() as u64;
        Ok(Self { codec, width, height, orientation, frames, is_ink, pixel_bytes, codec_bytes, original_bytes })
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
        let decoded = pixels * u64::from(self.pixel_bytes);
        // Scaled, oriented, and being encoded, with the encoder's own planes.
        self.original_bytes + decoded + pixels * u64::from(self.codec_bytes) + narrowed + 16 * output + PROFILE_BYTES
    }
}

/// A profile as it is read, and the tables made of it.
const PROFILE_BYTES: u64 = 2 * PROFILE_BYTES_MAX as u64;

fn check_pixels((width, height): (u32, u32), limits: &Limits) -> Result<(), RenderError> {
    if width == 0 || height == 0 {
        return Err(RenderError::Damaged { reason: "it has no pixels".to_owned() });
    }
    if u64::from(width) * u64::from(height) > limits.input_pixels {
        return Err(RenderError::TooManyPixels { width, height, pixels_max: limits.input_pixels });
    }
    Ok(())
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
