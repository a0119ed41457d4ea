//! JPEG XL (ISO/IEC 18181): the header is read here, `jxl` decodes the frames in a [`Sandbox`](crate::Sandbox), and `jixel`
//! encodes variants in another.
//! About a hundred lines of that decoder are `unsafe`, and its memory is not limited. Compressed metadata (`brob` boxes)
//! are never read.

use image::metadata::Orientation;

use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::pixel_image::PixelLayout;
use crate::sandbox::PROCESS_BYTES;
use crate::size_limits::check_pixels;
use crate::transform::color::PROFILE_BYTES_MAX;

mod bits;
#[cfg(feature = "jxl-originals")]
pub(crate) mod decode;
#[cfg(feature = "jxl-variants")]
pub(crate) mod embed;
#[cfg(feature = "jxl-variants")]
pub(crate) mod encode;
pub(crate) mod frames;

use bits::Bits;

/// Maximum number of bytes of the codestream that are searched for the header. Names of channels have at most 1,071.
const HEADER_BYTES: usize = 16 << 10;

/// Maximum number of channels in addition to the colors.
const EXTRA_CHANNELS_MAX: u32 = 16;

/// The header of an image. Also returns the memory limit of the sandbox in bytes.
///
/// # Errors
/// The header is damaged, or the image has more pixels than `limits.input_pixels`.
pub(crate) fn read_info(original: &[u8], limits: &Limits) -> Result<(JxlHeader, u64), Error> {
    let mut header = JxlHeader::read(original)?;
    let size = (header.info.width, header.info.height);
    check_pixels(size, limits)?;
    if header.plays.is_some() {
        header.info.frames = frames_max(size, original.len(), limits);
    }
    Ok((header, header.sandbox_bytes(original)))
}

/// The number of frames that an animation may have, at least 2. The header does not state the number, so memory is charged
/// for this one.
fn frames_max((width, height): (u32, u32), bytes: usize, limits: &Limits) -> u32 {
    let pixels = (u64::from(width) * u64::from(height)).max(1);
    let frames = (limits.animation_pixels / pixels).min(bytes as u64 / FRAME_BYTES_MIN);
    u32::try_from(frames).unwrap_or(u32::MAX).min(limits.frames).max(2)
}

/// Minimum length of a frame with its header and its table of contents.
const FRAME_BYTES_MIN: u64 = 8;

/// The fields `SizeHeader` and `ImageMetadata` of a codestream (ISO/IEC 18181-1, annex D), up to the color encoding.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JxlHeader {
    pub(crate) info: ImageInfo,
    pub(crate) layout: PixelLayout,
    pub(crate) extra_channels: u32,
    /// Number of times an animation plays, 0 for infinitely often. `None` for a still image.
    pub(crate) plays: Option<u32>,
}

impl JxlHeader {
    /// # Errors
    /// The header is damaged, or has more than [`EXTRA_CHANNELS_MAX`] channels in addition to the colors.
    pub(crate) fn read(original: &[u8]) -> Result<Self, Error> {
        let codestream = codestream_start(original);
        let mut bits = Bits::new(codestream.strip_prefix(b"\xFF\x0A").unwrap_or_default());
        let header = Self::read_fields(&mut bits).ok_or_else(|| damaged("truncated or invalid header"))?;
        if header.extra_channels > EXTRA_CHANNELS_MAX {
            return Err(damaged(format!("more than {EXTRA_CHANNELS_MAX} channels in addition to the colors")));
        }
        Ok(header)
    }

    fn read_fields(bits: &mut Bits<'_>) -> Option<Self> {
        let (width, height) = size(bits)?;
        let mut info = ImageInfo { width, height, ..ImageInfo::default() };
        let (mut channels, mut plays) = (Channels::default(), None);
        let has_defaults = bits.flag()?;
        if !has_defaults {
            if bits.flag()? {
                info.orientation = Orientation::from_exif(u8::try_from(bits.read(3)?).ok()? + 1)?;
                if bits.flag()? {
                    size(bits)?;
                }
                if bits.flag()? {
                    skip_preview(bits)?;
                }
                if bits.flag()? {
                    plays = Some(read_animation(bits)?);
                }
            }
            info.is_deep = bit_depth(bits)? > 8;
            // True if buffers of 16 bits are enough.
            bits.flag()?;
            let count = bits.u32([(0, 0), (0, 1), (4, 2), (12, 1)])?;
            if count <= EXTRA_CHANNELS_MAX {
                (0..count).try_for_each(|_| channels.read_extra(bits))?;
            }
            channels.extra = count;
            // True if colors are coded as XYB.
            bits.flag()?;
            channels.read_color(bits)?;
        }
        let layout = channels.layout();
        info.pixel_bytes = layout.channels();
        info.is_deep &= layout != PixelLayout::Cmyk;
        // An ICC profile is compressed, so its length is unknown. The profile of an enumerated encoding is short.
        info.profile_bytes = if channels.has_icc { PROFILE_BYTES_MAX as u64 } else { 64 << 10 };
        Some(Self { info, layout, extra_channels: channels.extra, plays })
    }

    /// Upper bound, in bytes, on the memory that the decoder needs for common files: the file, the result, and the samples
    /// of all channels as numbers of four bytes, several times for transforms and frames to which others refer.
    fn sandbox_bytes(&self, original: &[u8]) -> u64 {
        let pixels = u64::from(self.info.width) * u64::from(self.info.height);
        let channels = 3 + u64::from(self.extra_channels);
        // Samples of 16 bits as bytes, and the result.
        let result = if self.info.is_deep { 4 } else { 3 } * u64::from(self.layout.channels());
        let saved = if self.plays.is_some() { SAVED_FRAMES } else { 0 };
        3 * original.len() as u64
            + pixels * (result + (1 + saved) * SAMPLE_BYTES * channels)
            + ROW_BYTES * channels * u64::from(self.info.width)
            + 2 * self.info.profile_bytes
            + DECODER_BYTES
            + PROCESS_BYTES
    }
}

/// Memory of the decoder per sample, per channel and pixel of a row, and per image. With the result, lossy, lossless and
/// progressive files of cjxl with 2 and 12 megapixels took 4 to 6 bytes a pixel, and 15 with alpha.
const SAMPLE_BYTES: u64 = 4;
/// Frames of an animation to which later frames can refer.
const SAVED_FRAMES: u64 = 4;
const ROW_BYTES: u64 = 4096;
const DECODER_BYTES: u64 = 24 << 20;

/// The channels of an image.
#[derive(Debug, Default)]
struct Channels {
    is_gray: bool,
    has_icc: bool,
    has_alpha: bool,
    has_black: bool,
    extra: u32,
}

impl Channels {
    fn layout(&self) -> PixelLayout {
        match (self.is_gray, self.has_black, self.has_alpha) {
            (true, _, false) => PixelLayout::Gray,
            (true, _, true) => PixelLayout::GrayAlpha,
            (false, true, _) => PixelLayout::Cmyk,
            (false, false, false) => PixelLayout::Rgb,
            (false, false, true) => PixelLayout::Rgba,
        }
    }

    /// Reads `ExtraChannelInfo`.
    fn read_extra(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        const ALPHA: u32 = 0;
        const SPOT_COLOR: u32 = 2;
        const BLACK: u32 = 4;
        const COLOR_FILTER: u32 = 5;
        if bits.flag()? {
            self.has_alpha = true;
            return Some(());
        }
        let kind = bits.enumeration()?;
        bit_depth(bits)?;
        // The subsampling and the name.
        bits.u32([(0, 0), (0, 3), (0, 4), (3, 1)])?;
        let name = bits.u32([(0, 0), (4, 0), (5, 16), (10, 48)])?;
        (0..name).try_for_each(|_| bits.read(8).map(drop))?;
        match kind {
            ALPHA => {
                self.has_alpha = true;
                bits.flag()?;
            }
            SPOT_COLOR => (0..4).try_for_each(|_| bits.read(16).map(drop))?,
            BLACK => self.has_black = true,
            COLOR_FILTER => {
                bits.u32([(0, 1), (2, 0), (4, 3), (8, 19)])?;
            }
            _ => {}
        }
        Some(())
    }

    /// Reads the start of `ColorEncoding`.
    fn read_color(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        const GRAY: u32 = 1;
        if bits.flag()? {
            return Some(());
        }
        self.has_icc = bits.flag()?;
        self.is_gray = bits.enumeration()? == GRAY;
        Some(())
    }
}

/// Reads `SizeHeader`.
fn size(bits: &mut Bits<'_>) -> Option<(u32, u32)> {
    let is_small = bits.flag()?;
    let side = |bits: &mut Bits<'_>| match is_small {
        true => Some(8 * (bits.read(5)? + 1)),
        false => bits.u32([(9, 1), (13, 1), (18, 1), (30, 1)]),
    };
    let height = side(bits)?;
    let (numerator, denominator) = match bits.read(3)? {
        0 => return Some((side(bits)?, height)),
        1 => (1, 1),
        2 => (12, 10),
        3 => (4, 3),
        4 => (3, 2),
        5 => (16, 9),
        6 => (5, 4),
        _ => (2, 1),
    };
    let width = u32::try_from(u64::from(height) * numerator / denominator).ok().filter(|width| *width > 0)?;
    Some((width, height))
}

/// Skips `PreviewHeader`.
fn skip_preview(bits: &mut Bits<'_>) -> Option<()> {
    let side = match bits.flag()? {
        true => [(0, 16), (0, 32), (5, 1), (9, 33)],
        false => [(6, 1), (8, 65), (10, 321), (12, 1345)],
    };
    bits.u32(side)?;
    if bits.read(3)? == 0 {
        bits.u32(side)?;
    }
    Some(())
}

/// Reads the number of plays from `AnimationHeader`.
fn read_animation(bits: &mut Bits<'_>) -> Option<u32> {
    bits.u32([(0, 100), (0, 1000), (10, 1), (30, 1)])?;
    bits.u32([(0, 1), (0, 1001), (8, 1), (10, 1)])?;
    let plays = bits.u32([(0, 0), (3, 0), (16, 0), (32, 0)])?;
    bits.flag()?;
    Some(plays)
}

/// Reads `BitDepth`: the bits of an integer or floating-point sample.
fn bit_depth(bits: &mut Bits<'_>) -> Option<u32> {
    if bits.flag()? {
        let depth = bits.u32([(0, 32), (0, 16), (0, 24), (6, 1)])?;
        bits.read(4)?;
        return Some(depth);
    }
    bits.u32([(0, 8), (0, 10), (0, 12), (6, 1)])
}

/// The first bytes of the codestream: of the whole file, or of the boxes `jxlc` or `jxlp` (ISO/IEC 18181-2, section 9).
fn codestream_start(original: &[u8]) -> Vec<u8> {
    let head = |bytes: &[u8]| bytes.get(..HEADER_BYTES).unwrap_or(bytes).to_vec();
    if original.starts_with(b"\xFF\x0A") {
        return head(original);
    }
    let (mut rest, mut start) = (original, Vec::new());
    while let Some((kind, content, after)) = split_box(rest) {
        match &kind {
            b"jxlc" => return head(content),
            b"jxlp" if start.len() < HEADER_BYTES => start.extend(head(content.get(4..).unwrap_or_default())),
            b"jxlp" => break,
            _ => {}
        }
        rest = after;
    }
    start
}

/// Splits the first box off: its type, its content and the bytes after it. A truncated box extends to the end.
fn split_box(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (kind, rest) = rest.split_first_chunk()?;
    let (length, rest) = match u32::from_be_bytes(*length) {
        0 => (rest.len(), rest),
        1 => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u64::from_be_bytes(*length)).ok()?.checked_sub(16)?, rest)
        }
        length => (usize::try_from(length).ok()?.checked_sub(8)?, rest),
    };
    let (content, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
    Some((*kind, content, after))
}
