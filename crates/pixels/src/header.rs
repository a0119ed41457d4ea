//! Reading of headers: format, size and memory estimate, before any pixel is decoded.

use std::num::NonZeroU32;

use jpeg_planes::Header as JpegHeader;
use vp8_planes::Header as Vp8Header;

#[cfg(any(feature = "avif", feature = "avif-originals"))]
use crate::codec::avif;
use crate::codec::{gif, jpeg, png, webp};
#[cfg(feature = "avif")]
use crate::encoding::Encoding;
use crate::error::{Error, UnsupportedFormat};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::output::OutputSpec;
use crate::size_limits::check_pixels;
use crate::sniff::sniff;
use crate::transform::color::PROFILE_BYTES_MAX;
use crate::transform::convolve;
use crate::transform::crop::output_size;

/// File format of an original, detected from its bytes and not from its name.
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
    /// File extension without the dot; also the label in metrics.
    #[must_use]
    pub const fn extension(self) -> &'static str {
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

/// Header of a format that can be decoded to YUV planes.
#[derive(Debug, Clone)]
pub(crate) enum PlanarHeader {
    Jpeg(JpegHeader),
    /// The frame of a still lossy WebP without alpha.
    Vp8(Vp8Header),
}

/// A header that was read and is within the limits.
#[derive(Debug, Clone)]
pub struct Header {
    pub codec: Codec,
    pub info: ImageInfo,
    /// True if the image is a JPEG in CMYK or YCCK.
    pub(crate) is_cmyk: bool,
    /// `None` if the image is decoded to pixels.
    pub(crate) planar: Option<PlanarHeader>,
    /// Bytes that the sandboxed decoder may allocate; 0 if the format is decoded in this process.
    pub(crate) sandbox_bytes: u64,
    pub(crate) original_bytes: u64,
}

impl Header {
    /// Reads the header and checks it against `limits`. No memory is allocated for pixels.
    ///
    /// # Errors
    /// The bytes are not an image, the format is not supported, the header is damaged, or the image exceeds
    /// `limits.input_pixels`.
    pub fn read(original: &[u8], limits: &Limits) -> Result<Self, Error> {
        let codec = detect_codec(original, limits)?;
        if codec == Codec::Png {
            // The PNG decoder allocates a row as soon as it has read the header.
            check_pixels(png::size(original), limits)?;
        }
        let mut header = Self {
            codec,
            info: ImageInfo::default(),
            is_cmyk: false,
            planar: None,
            sandbox_bytes: 0,
            original_bytes: original.len() as u64,
        };
        if codec == Codec::Jpeg
            && let Some(jpeg) = jpeg::planar::read_header(original, limits)
        {
            header.info = jpeg::planar::info(original, &jpeg);
            header.planar = Some(PlanarHeader::Jpeg(jpeg));
            return Ok(header);
        }
        header.info = match codec {
            Codec::Jpeg => jpeg::read_info(original)?,
            Codec::Png => png::read_info(original)?,
            Codec::WebP => webp::container::read_info(original)?,
            Codec::Gif => gif::read_info(original)?,
            #[cfg(feature = "avif-originals")]
            Codec::Avif => {
                let (info, sandbox_bytes) = avif::decode::read_info(original, limits)?;
                header.sandbox_bytes = sandbox_bytes;
                info
            }
        };
        check_pixels((header.info.width, header.info.height), limits)?;
        header.is_cmyk = codec == Codec::Jpeg && jpeg::is_cmyk(&header.info);
        if codec == Codec::WebP {
            let vp8 = webp::planar::read_header(original, (header.info.width, header.info.height), limits);
            header.planar = vp8.map(PlanarHeader::Vp8);
        }
        Ok(header)
    }

    /// Width and height of the upright image.
    #[must_use]
    pub fn oriented_size(&self) -> (u32, u32) {
        self.info.oriented_size()
    }

    /// An upper bound, in bytes, of the memory that [`render_each`](crate::render_each) allocates for these variants.
    #[must_use]
    pub fn working_bytes(&self, outputs: &[OutputSpec]) -> u64 {
        // Variants are rendered one after the other, so only the largest counts.
        let output_bytes = outputs.iter().map(|output| self.output_bytes(*output)).max().unwrap_or(0);
        match &self.planar {
            Some(PlanarHeader::Jpeg(jpeg)) => {
                jpeg::planar::working_bytes(&self.info, jpeg, outputs) + output_bytes + profile_bytes(jpeg)
            }
            Some(PlanarHeader::Vp8(vp8)) => {
                webp::planar::working_bytes(&self.info, vp8, outputs) + output_bytes + PROFILE_BYTES
            }
            // The sandboxed decoder has ended before its planes are converted to pixels.
            None => self.sandboxed_bytes().max(self.decoded_bytes() + output_bytes) + PROFILE_BYTES,
        }
    }

    /// Memory for scaling and encoding one variant.
    fn output_bytes(&self, output: OutputSpec) -> u64 {
        let nonzero = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let (upright_width, upright_height) = self.oriented_size();
        let (width, height) = output_size(nonzero(upright_width), nonzero(upright_height), output.geometry);
        let pixels = u64::from(width.get()) * u64::from(height.get());
        // The scaler reduces one dimension first, so it holds an image with one reduced and one full side.
        let channels = if self.planar.is_some() { 1 } else { 4 };
        let (longest, side) = (u64::from(self.info.width.max(self.info.height)), u64::from(width.max(height).get()));
        let convolved = (channels * side * longest).max(convolve::bytes(longest, side, channels));
        // Canvases and frames of the encoder of an animation.
        let animation = if self.info.frames > 1 { (40 + u64::from(self.info.frames)) * pixels } else { 0 };
        #[cfg(feature = "avif")]
        if let Encoding::Avif(quality) = output.encoding {
            // The planes and the encoder, which takes more than the pixels before.
            return convolved + 4 * pixels + avif::encode::working_bytes(pixels, quality);
        }
        // The scaled and the upright pixels, and the encoder's planes.
        convolved + animation + 16 * pixels
    }

    /// Memory of the sandboxed decoder, and of its result in this process.
    fn sandboxed_bytes(&self) -> u64 {
        self.original_bytes + self.pixel_count() * u64::from(self.info.codec_bytes) + self.sandbox_bytes
    }

    /// Memory for decoding to pixels.
    fn decoded_bytes(&self) -> u64 {
        // An animation needs two canvases: the one that is scaled, and a copy from which it may have to be restored.
        let animation = if self.info.frames > 1 { 8 } else { 0 };
        let bytes_per_pixel = u64::from(self.info.pixel_bytes) + u64::from(self.info.codec_bytes) + animation;
        self.original_bytes + self.pixel_count() * bytes_per_pixel
    }

    fn pixel_count(&self) -> u64 {
        u64::from(self.info.width) * u64::from(self.info.height)
    }
}

/// Memory for the ICC profile of a JPEG and the conversion tables built from it.
fn profile_bytes(jpeg: &JpegHeader) -> u64 {
    let bytes: u64 = jpeg.icc.iter().map(|part| part.len() as u64).sum();
    if bytes == 0 { 0 } else { 2 * bytes + (1 << 20) }
}

/// Memory for an ICC profile of unknown size and the conversion tables built from it.
const PROFILE_BYTES: u64 = 2 * PROFILE_BYTES_MAX as u64;

#[cfg_attr(not(feature = "avif-originals"), expect(unused_variables, reason = "AVIF is not decoded"))]
fn detect_codec(original: &[u8], limits: &Limits) -> Result<Codec, Error> {
    let unsupported = |format| Err(Error::UnsupportedFormat { format });
    match sniff(original) {
        Some("image/jpeg") => Ok(Codec::Jpeg),
        Some("image/png") => Ok(Codec::Png),
        Some("image/webp") => Ok(Codec::WebP),
        Some("image/gif") => Ok(Codec::Gif),
        #[cfg(feature = "avif-originals")]
        Some("image/avif") if limits.avif_originals => Ok(Codec::Avif),
        Some("image/avif") => unsupported(UnsupportedFormat::Avif),
        Some("image/heic") => unsupported(UnsupportedFormat::Heic),
        Some("image/jxl") => unsupported(UnsupportedFormat::JpegXl),
        Some("image/tiff") => unsupported(UnsupportedFormat::Tiff),
        Some("image/bmp") => unsupported(UnsupportedFormat::Bmp),
        Some("image/x-icon") => unsupported(UnsupportedFormat::Ico),
        Some(_) | None => Err(Error::NotAnImage),
    }
}
