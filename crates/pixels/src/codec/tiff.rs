//! TIFF 6.0: the first directory is read here, and `tiff` decodes the image in a [`Sandbox`](crate::Sandbox). That
//! decoder is memory-safe, but cannot be stopped, and so are those of the compressions.

use image::metadata::Orientation;

use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::pixel_image::PixelLayout;
use crate::sandbox::PROCESS_BYTES;
use crate::size_limits::check_pixels;
use crate::transform::color::PROFILE_BYTES_MAX;

#[cfg(feature = "tiff-originals")]
pub(crate) mod decode;
mod directory;
#[cfg(feature = "tiff-originals")]
mod jpeg_chunks;

use directory::Directory;

/// The header of an image. Also returns the memory limit of the sandbox in bytes.
///
/// # Errors
/// The directory is damaged or uses an unsupported feature, or the image or a tile has more pixels than
/// `limits.input_pixels`.
pub(crate) fn read_info(original: &[u8], limits: &Limits) -> Result<(TiffHeader, u64), Error> {
    let header = TiffHeader::read(original)?;
    check_pixels((header.info.width, header.info.height), limits)?;
    if header.chunk_pixels() > limits.input_pixels {
        return Err(damaged("its tiles are larger than the limit on originals"));
    }
    let sandbox_bytes = header.sandbox_bytes(original);
    Ok((header, sandbox_bytes))
}

/// The first image of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TiffHeader {
    pub(crate) info: ImageInfo,
    /// Channels after palettes and luma with chroma have been converted to RGB.
    pub(crate) layout: PixelLayout,
    pub(crate) photometric: Photometric,
    /// True if the colors are premultiplied by alpha.
    pub(crate) is_premultiplied: bool,
    /// Bits per sample: 1, 2, 4, 8 or 16.
    pub(crate) bits: u16,
    /// Stored samples per pixel, of which some may be ignored.
    pub(crate) samples: u16,
    /// Width and height of a tile or strip.
    chunk_size: (u32, u32),
    compression: u32,
}

/// Color space of the samples (tag 262).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Photometric {
    Gray,
    Rgb,
    /// With the offset of the value 3 of the tag in the file.
    Palette {
        value_offset: usize,
    },
    Cmyk,
    YCbCr,
}

/// Numbers of tags (TIFF 6.0, appendix A), and of the ICC profile.
pub(crate) mod tag {
    pub(crate) const WIDTH: u16 = 256;
    pub(crate) const HEIGHT: u16 = 257;
    pub(crate) const BITS: u16 = 258;
    pub(crate) const COMPRESSION: u16 = 259;
    pub(crate) const PHOTOMETRIC: u16 = 262;
    pub(crate) const ORIENTATION: u16 = 274;
    pub(crate) const SAMPLES: u16 = 277;
    pub(crate) const ROWS_PER_STRIP: u16 = 278;
    pub(crate) const TILE_WIDTH: u16 = 322;
    pub(crate) const TILE_HEIGHT: u16 = 323;
    pub(crate) const EXTRA_SAMPLES: u16 = 338;
    pub(crate) const SAMPLE_FORMAT: u16 = 339;
    pub(crate) const PROFILE: u16 = 34_675;
}

/// Compression by JPEG (technical note 2 of TIFF 6.0).
const JPEG: u32 = 7;
/// Compression by CCITT group 4.
const FAX: u32 = 4;

impl TiffHeader {
    /// # Errors
    /// The directory is damaged or uses an unsupported feature.
    pub(crate) fn read(original: &[u8]) -> Result<Self, Error> {
        let directory = Directory::read(original)?;
        let required = |tag, name| directory.number(tag).ok_or_else(|| damaged(format!("no {name} (tag {tag})")));
        let (width, height) = (required(tag::WIDTH, "width")?, required(tag::HEIGHT, "height")?);
        if width == 0 || height == 0 {
            return Err(damaged("zero width or height"));
        }
        let number = |tag, default| directory.number(tag).unwrap_or(default);
        let (samples, bits) = (number(tag::SAMPLES, 1), number(tag::BITS, 1));
        let samples = u16::try_from(samples).ok().filter(|samples| matches!(samples, 1..=SAMPLES_MAX));
        let samples = samples.ok_or_else(|| damaged(format!("more than {SAMPLES_MAX} samples per pixel")))?;
        if number(tag::SAMPLE_FORMAT, 1) != 1 {
            return Err(damaged("its samples are not unsigned integers"));
        }
        let extra = directory.number(tag::EXTRA_SAMPLES);
        let has_alpha = matches!(extra, Some(1 | 2));
        let (photometric, layout) = match required(tag::PHOTOMETRIC, "color space")? {
            0 | 1 if samples == 1 => (Photometric::Gray, PixelLayout::Gray),
            0 | 1 => (Photometric::Gray, if has_alpha { PixelLayout::GrayAlpha } else { PixelLayout::Gray }),
            2 if samples == 3 => (Photometric::Rgb, PixelLayout::Rgb),
            // Without a tag, a fourth sample is alpha.
            2 if samples > 3 && (has_alpha || samples == 4 && extra.is_none()) => (Photometric::Rgb, PixelLayout::Rgba),
            2 if samples > 3 => (Photometric::Rgb, PixelLayout::Rgb),
            3 if samples == 1 => {
                let value_offset = directory.value_offset(tag::PHOTOMETRIC).unwrap_or_default();
                (Photometric::Palette { value_offset }, PixelLayout::Rgb)
            }
            5 if samples >= 4 => (Photometric::Cmyk, PixelLayout::Cmyk),
            6 if samples == 3 => (Photometric::YCbCr, PixelLayout::Rgb),
            other => return Err(damaged(format!("color space {other} with {samples} samples per pixel"))),
        };
        let bits = match (photometric, bits) {
            (Photometric::Gray, 1 | 2 | 4) if samples == 1 => bits,
            (Photometric::Palette { .. }, 1 | 2 | 4 | 8) | (Photometric::YCbCr, 8) => bits,
            (Photometric::Gray | Photometric::Rgb | Photometric::Cmyk, 8 | 16) => bits,
            _ => return Err(damaged(format!("{bits} bits per sample"))),
        };
        let tile = directory.number(tag::TILE_WIDTH).zip(directory.number(tag::TILE_HEIGHT));
        let chunk_size = tile.unwrap_or_else(|| (width, number(tag::ROWS_PER_STRIP, height).min(height)));
        let profile_bytes = directory.count(tag::PROFILE).map_or(0, u64::from);
        let exif = u8::try_from(number(tag::ORIENTATION, 1)).unwrap_or(1);
        let info = ImageInfo {
            width,
            height,
            orientation: Orientation::from_exif(exif).unwrap_or(Orientation::NoTransforms),
            pixel_bytes: layout.channels(),
            is_deep: bits == 16 && layout != PixelLayout::Cmyk,
            profile_bytes: if profile_bytes <= PROFILE_BYTES_MAX as u64 { profile_bytes } else { 0 },
            ..ImageInfo::default()
        };
        Ok(Self {
            info,
            layout,
            photometric,
            is_premultiplied: extra == Some(1),
            bits: u16::try_from(bits).unwrap_or(u16::MAX),
            samples,
            chunk_size,
            compression: number(tag::COMPRESSION, 1),
        })
    }

    /// Number of pixels of a tile or strip.
    fn chunk_pixels(&self) -> u64 {
        u64::from(self.chunk_size.0) * u64::from(self.chunk_size.1)
    }

    /// True if the strips or tiles are JPEGs.
    fn is_jpeg(&self) -> bool {
        self.compression == JPEG
    }

    /// Upper bound, in bytes, on the memory that the decoder allocates: the file, and a copy for its palette or for the
    /// data of JPEG; all samples as stored and as bytes; the result; a strip or tile of JPEG twice; and the directory.
    fn sandbox_bytes(&self, original: &[u8]) -> u64 {
        let (width, height) = (u64::from(self.info.width), u64::from(self.info.height));
        let row = |width: u64| (width * u64::from(self.samples) * u64::from(self.bits)).div_ceil(8);
        let unpacked = if self.bits == 8 { 0 } else { width * height * u64::from(self.samples) };
        // These are decoded in one piece.
        let has_whole_chunks = matches!(self.compression, JPEG | FAX);
        let chunks = if has_whole_chunks { 4 * self.chunk_pixels() * u64::from(self.samples) } else { 0 };
        let pixels = width * height * u64::from(self.info.pixel_bytes);
        3 * original.len() as u64 + row(width) * height + unpacked + pixels + chunks + 2 * row(width) + PROCESS_BYTES
    }
}

/// Maximum number of samples per pixel: five of CMYK with alpha, and some that are ignored.
const SAMPLES_MAX: u16 = 16;
