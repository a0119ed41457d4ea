//! ICO: the directory is read here. The largest picture, a PNG or a bitmap, is decoded in a [`Sandbox`](crate::Sandbox),
//! like BMP.

use crate::codec::bmp::Dib;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::pixel_image::PixelLayout;
use crate::sandbox::PROCESS_BYTES;
use crate::size_limits::check_pixels;

#[cfg(feature = "bmp-originals")]
pub(crate) mod decode;

/// Maximum number of pictures. Icons have about ten.
const ENTRIES_MAX: usize = 256;

/// Reads the directory and the header of the largest picture. Also returns the memory limit of the sandbox in bytes.
///
/// # Errors
/// The directory is damaged or contains no picture, or the picture has more pixels than `limits.input_pixels`.
pub(crate) fn read_info(original: &[u8], limits: &Limits) -> Result<(ImageInfo, u64), Error> {
    let picture = Picture::largest(original)?;
    let (width, height) = picture.size;
    check_pixels((width, height), limits)?;
    let pixel_bytes = PixelLayout::Rgba.channels();
    let info = ImageInfo { width, height, pixel_bytes, ..ImageInfo::default() };
    // A PNG can have 16 bits per sample. Its decoder holds it in addition to the result.
    let pixels = u64::from(width) * u64::from(height);
    let row = 8 * u64::from(width);
    Ok((info, 2 * picture.bytes.len() as u64 + 12 * pixels + 2 * row + PROCESS_BYTES))
}

/// A picture of an icon.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture<'a> {
    pub(crate) size: (u32, u32),
    pub(crate) bytes: &'a [u8],
}

impl<'a> Picture<'a> {
    /// The picture with the most pixels; among equals, the one with the most bits per pixel.
    ///
    /// # Errors
    /// The directory is damaged or contains no picture.
    pub(crate) fn largest(original: &'a [u8]) -> Result<Self, Error> {
        let directory = original.get(6..).ok_or_else(|| damaged("truncated directory"))?;
        let count = usize::from(u16::from_le_bytes([original[4], original[5]])).min(ENTRIES_MAX);
        let entries = directory.as_chunks::<16>().0.iter().take(count);
        let pictures = entries.filter_map(|entry| {
            let [.., bits_low, bits_high, l0, l1, l2, l3, o0, o1, o2, o3] = *entry;
            let (length, offset) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([o0, o1, o2, o3]));
            let (start, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
            let bytes = original.get(start..start.checked_add(length)?)?;
            let picture = Self { size: size(bytes)?, bytes };
            Some((picture, u16::from_le_bytes([bits_low, bits_high])))
        });
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let best = pictures.max_by_key(|(picture, bits)| (area(picture.size), *bits));
        best.map(|(picture, _)| picture).ok_or_else(|| damaged("it has no picture"))
    }

    /// An icon that contains only this picture.
    pub(crate) fn to_icon(self) -> Vec<u8> {
        let side = |n: u32| u8::try_from(n).unwrap_or(0);
        let mut icon = vec![0, 0, 1, 0, 1, 0, side(self.size.0), side(self.size.1), 0, 0, 1, 0, 32, 0];
        icon.extend(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        icon.extend(ICON_HEADER_BYTES.to_le_bytes());
        icon.extend(self.bytes);
        icon
    }
}

/// Length of an icon's header with one directory entry.
const ICON_HEADER_BYTES: u32 = 22;

/// Signature of a PNG, and the first chunk up to its type (PNG, sections 5.2 and 11.2.1).
const PNG_START: &[u8] = b"\x89PNG\r\n\x1A\n\0\0\0\rIHDR";

/// The size of a PNG or of a bitmap, whose height includes the mask.
fn size(picture: &[u8]) -> Option<(u32, u32)> {
    let (width, height) = match picture.strip_prefix(PNG_START) {
        Some(header) => {
            let ([width, height], _) = header.first_chunk::<8>()?.as_chunks::<4>() else { return None };
            (u32::from_be_bytes(*width), u32::from_be_bytes(*height))
        }
        None => {
            let dib = Dib::read(picture).ok()?;
            (dib.width, dib.height / 2)
        }
    };
    (width > 0 && height > 0).then_some((width, height))
}
