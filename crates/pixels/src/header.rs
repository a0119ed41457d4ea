//! What a picture says of itself before any of its pixels is decoded.

use image::metadata::Orientation;
use jpeg_planes::Header as JpegHeader;
use vp8_planes::Header as Vp8Header;

#[cfg(feature = "avif-originals")]
use crate::sniff;
use crate::codec::{gif, jpeg, png};
use crate::codec::avif::decode;
use crate::codec::jpeg::planar;
use crate::codec::webp::container;
use crate::encoding::Encoding;
use crate::error::RenderError;
use crate::geometry::Geometry;
use crate::info::Facts;
use crate::limits::Limits;
use crate::transform::convolve;
use crate::transform::color::PROFILE_BYTES_MAX;
use crate::transform::crop::{Frame, upright};

/// The format that the bytes are in, whatever their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Jpeg,
    Png,
    WebP,
    Gif,
    #[cfg(feature = "avif-originals")]
    Avif,
}

impl Codec {
    /// The extension of its files, without the dot: its word among the metrics.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
            #[cfg(feature = "avif-originals")]
            Self::Avif => "avif",
        }
    }
}

/// A header that has been read and found within the limits.
#[derive(Debug, Clone)]
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
    pub(crate) is_ink: bool,
    /// The header of a JPEG that is decoded to planes.
    pub(crate) jpeg: Option<JpegHeader>,
    /// The header of the frame of a lossy WebP that is decoded to planes.
    pub(crate) vp8: Option<Vp8Header>,
    /// Bytes of a decoded pixel as the codec gives it.
    pixel_bytes: u8,
    /// Bytes that the codec itself keeps for each pixel while it decodes.
    codec_bytes: u8,
    /// What a process of its own takes that decodes it.
    pub(crate) apart_bytes: u64,
    original_bytes: u64,
}

impl Header {
    /// Reads the header and holds it against `limits`; nothing is allocated for pixels.
    ///
    /// # Errors
    /// Not a picture, a format that is not decoded, a damaged header, or more pixels than `limits.input_pixels`.
    pub fn read(original: &[u8], limits: &Limits) -> Result<Self, RenderError> {
        let codec = codec(original, limits)?;
        if codec == Codec::Png {
            // Its decoder allocates a row as soon as it has the header.
            check_pixels(png::size(original), limits)?;
        }
        if codec == Codec::Jpeg
            && let Some(jpeg) = planar::jpeg_header(original, limits)
        {
            return Ok(Self::of_planes(original, jpeg));
        }
        #[cfg_attr(not(feature = "avif-originals"), expect(unused_mut, reason = "nothing is decoded apart"))]
        let mut apart_bytes = 0;
        let facts = match codec {
            Codec::Jpeg => jpeg::facts(original)?,
            Codec::Png => png::facts(original)?,
            Codec::WebP => riff::facts(original)?,
            Codec::Gif => gif::facts(original)?,
            #[cfg(feature = "avif-originals")]
            Codec::Avif => {
                let (facts, bytes) = apart::facts(original, limits)?;
                apart_bytes = bytes;
                facts
            }
        };
        check_pixels(facts.size, limits)?;
        let Facts { size: (width, height), orientation, pixel_bytes, codec_bytes, frames } = facts;
        let is_ink = codec == Codec::Jpeg && jpeg::is_ink(&facts);
        let original_bytes = original.len() as u64;
        Ok(Self {
            codec,
            width,
            height,
            orientation,
            frames,
            is_ink,
            jpeg: None,
            vp8: if codec == Codec::WebP { planar::vp8::header(original, (width, height), limits) } else { None },
            pixel_bytes,
            codec_bytes,
            apart_bytes,
            original_bytes,
        })
    }

    fn of_planes(original: &[u8], jpeg: JpegHeader) -> Self {
        Self {
            codec: Codec::Jpeg,
            width: jpeg.width,
            height: jpeg.height,
            orientation: planar::jpeg_orientation(original, &jpeg),
            frames: 1,
            is_ink: false,
            pixel_bytes: 3,
            codec_bytes: 0,
            apart_bytes: 0,
            original_bytes: original.len() as u64,
            jpeg: Some(jpeg),
            vp8: None,
        }
    }

    /// Width and height as the picture is meant to be seen.
    #[must_use]
    pub fn oriented_size(&self) -> (u32, u32) {
        upright((self.width, self.height), self.orientation)
    }

    /// An upper bound, in bytes, of what [`super::render_each`] allocates for this picture and these variants.
    #[must_use]
    pub fn working_bytes(&self, variants: &[(Geometry, Encoding)]) -> u64 {
        let made = variants.iter().map(|(geometry, _)| {
            let (width, height) = Frame::new(self.oriented_size(), *geometry).size();
            let output = u64::from(width.get()) * u64::from(height.get());
            // Convolution first makes the picture shorter or narrower: that much of the whole length.
            let channels = if self.jpeg.is_some() || self.vp8.is_some() { 1 } else { 4 };
            let (longest, side) = (u64::from(self.width.max(self.height)), u64::from(width.max(height).get()));
            let convolved = (channels * side * longest).max(convolve::bytes(longest, side, channels));
            // Of an animation, the canvases and frames of the encoder.
            let moving = if self.frames > 1 { (40 + u64::from(self.frames)) * output } else { 0 };
            // Scaled, oriented, and being encoded, with the encoder's own planes.
            convolved + moving + 16 * output
        });
        // One after the other.
        let made = made.max().unwrap_or(0);
        match (&self.jpeg, &self.vp8) {
            (Some(jpeg), _) => planar::jpeg_bytes(self, jpeg, variants) + made + profile_bytes(jpeg),
            (None, Some(vp8)) => planar::vp8::bytes(self, vp8, variants) + made + PROFILE_BYTES,
            // A process that decodes is gone before pixels are made of its planes.
            (None, None) => self.apart_bytes().max(self.decoded_bytes() + made) + PROFILE_BYTES,
        }
    }

    /// What decoding in another process takes, there and here.
    fn apart_bytes(&self) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        self.original_bytes + pixels * u64::from(self.codec_bytes) + self.apart_bytes
    }

    /// What decoding to pixels allocates.
    fn decoded_bytes(&self) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        // Of an animation, the canvas as it is scaled and as it may have to be again.
        let moving = if self.frames > 1 { 8 } else { 0 };
        self.original_bytes + pixels * (u64::from(self.pixel_bytes) + u64::from(self.codec_bytes) + moving)
    }
}

/// A JPEG's profile as it is read, and the tables that are made of it.
fn profile_bytes(jpeg: &JpegHeader) -> u64 {
    let bytes: u64 = jpeg.icc.iter().map(|part| part.len() as u64).sum();
    if bytes == 0 { 0 } else { 2 * bytes + (1 << 20) }
}

/// A profile as it is read, and the tables made of it.
const PROFILE_BYTES: u64 = 2 * PROFILE_BYTES_MAX as u64;

pub(crate) fn check_pixels((width, height): (u32, u32), limits: &Limits) -> Result<(), RenderError> {
    if width == 0 || height == 0 {
        return Err(RenderError::Damaged { reason: "it has no pixels".to_owned() });
    }
    if u64::from(width) * u64::from(height) > limits.input_pixels {
        return Err(RenderError::TooManyPixels { width, height, pixels_max: limits.input_pixels });
    }
    Ok(())
}

#[cfg_attr(not(feature = "avif-originals"), expect(unused_variables, reason = "AVIF is not decoded"))]
fn codec(original: &[u8], limits: &Limits) -> Result<Codec, RenderError> {
    let unsupported = |format| Err(RenderError::UnsupportedFormat { format });
    match sniff(original) {
        Some("image/jpeg") => Ok(Codec::Jpeg),
        Some("image/png") => Ok(Codec::Png),
        Some("image/webp") => Ok(Codec::WebP),
        Some("image/gif") => Ok(Codec::Gif),
        #[cfg(feature = "avif-originals")]
        Some("image/avif") if limits.avif_originals => Ok(Codec::Avif),
        Some("image/avif") => unsupported("AVIF"),
        Some("image/heic") => unsupported("HEIC"),
        Some("image/jxl") => unsupported("JPEG XL"),
        Some("image/tiff") => unsupported("TIFF"),
        Some("image/bmp") => unsupported("BMP"),
        Some("image/x-icon") => unsupported("ICO"),
        Some(_) | None => Err(RenderError::NotAnImage),
    }
}
