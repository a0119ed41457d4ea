//! BMP: the header is read here, and `image` decodes the pixels in a [`Sandbox`](crate::Sandbox). That decoder is
//! memory-safe, but cannot be stopped.

use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::pixel_image::PixelLayout;
use crate::sandbox::PROCESS_BYTES;
use crate::size_limits::check_pixels;

#[cfg(feature = "bmp-originals")]
pub(crate) mod decode;

/// Reads the header. Also returns the memory limit of the sandbox in bytes.
///
/// # Errors
/// The header is damaged, or the image has more pixels than `limits.input_pixels`.
pub(crate) fn read_info(original: &[u8], limits: &Limits) -> Result<(ImageInfo, u64), Error> {
    let Dib { width, height, layout } = Dib::read(original.get(FILE_HEADER_BYTES..).unwrap_or_default())?;
    check_pixels((width, height), limits)?;
    let channels = layout.channels();
    let info = ImageInfo { width, height, pixel_bytes: channels, ..ImageInfo::default() };
    Ok((info, sandbox_bytes(original, &info)))
}

/// Upper bound, in bytes, on the memory that the decoder allocates: the file, its pixels, and one stored row, which is no
/// longer than the pixels and their padding.
fn sandbox_bytes(original: &[u8], info: &ImageInfo) -> u64 {
    let row = u64::from(info.width) * u64::from(info.pixel_bytes);
    original.len() as u64 + row * (u64::from(info.height) + 1) + PROCESS_BYTES
}

/// Length of BITMAPFILEHEADER.
pub(crate) const FILE_HEADER_BYTES: usize = 14;

/// The header of a device-independent bitmap, which BMP and ICO contain (BITMAPCOREHEADER, and BITMAPINFOHEADER with its
/// later versions).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dib {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) layout: PixelLayout,
}

impl Dib {
    /// # Errors
    /// The header is damaged or of an unknown version.
    pub(crate) fn read(dib: &[u8]) -> Result<Self, Error> {
        let truncated = || damaged("truncated bitmap header");
        let u16_at = |at: usize| Some(u16::from_le_bytes(*dib.get(at..)?.first_chunk()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(*dib.get(at..)?.first_chunk()?));
        let length = u32_at(0).ok_or_else(truncated)?;
        let (width, height, layout) = match length {
            12 => {
                let size = u16_at(4).zip(u16_at(6)).ok_or_else(truncated)?;
                (u32::from(size.0), u32::from(size.1), PixelLayout::Rgb)
            }
            40 | 52 | 56 | 108 | 124 => {
                let (width, height) = u32_at(4).zip(u32_at(8)).ok_or_else(truncated)?;
                let compression = u32_at(16).ok_or_else(truncated)?;
                // Rows are stored from the top if the height is negative.
                let height = height.cast_signed().unsigned_abs();
                let has_alpha = compression == BITFIELDS && length >= 56 && u32_at(52).ok_or_else(truncated)? != 0;
                (width, height, if has_alpha { PixelLayout::Rgba } else { PixelLayout::Rgb })
            }
            _ => return Err(damaged(format!("unknown bitmap header of {length} bytes"))),
        };
        if width == 0 || height == 0 {
            return Err(damaged("zero width or height"));
        }
        Ok(Self { width, height, layout })
    }
}

/// The compression type of pixels with masks for their channels.
const BITFIELDS: u32 = 3;
