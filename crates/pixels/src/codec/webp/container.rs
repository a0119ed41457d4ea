//! Parses the chunks of WebP files (RFC 9649).
//!
//! All chunks are checked before decoding, because an embedded image may be larger than the canvas declares.

use std::time::Duration;

use image::metadata::Orientation;

use crate::codec::animation::FrameRect;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::transform::color::PROFILE_BYTES_MAX;

/// Reads the chunk structure without decoding pixels.
pub(crate) fn read_info(original: &[u8]) -> Result<ImageInfo, Error> {
    let mut chunks = Chunks::from_file(original);
    let first = chunks.next().ok_or_else(|| damaged("no chunks"))?;
    let mut info = ImageInfo {
        pixel_bytes: 4,
        // Memory for 4:2:0 planes.
        codec_bytes: 2,
        profile_bytes: icc_profile(original).map_or(0, |profile| profile.len() as u64),
        ..ImageInfo::default()
    };
    match first.name {
        b"VP8X" => {
            (info.width, info.height) = canvas_size(first.data).ok_or_else(|| damaged("truncated header"))?;
            let frames = check_frames(chunks, (info.width, info.height))?;
            if frames > 0 {
                // Memory for a frame as RGB and as RGBA.
                info.codec_bytes += 5;
            }
            info.frames = frames.max(1);
            let exif = Chunks::from_file(original).find(|chunk| chunk.name == b"EXIF");
            info.orientation = exif.and_then(|chunk| exif_orientation(chunk.data)).unwrap_or(Orientation::NoTransforms);
        }
        b"VP8 " | b"VP8L" => {
            (info.width, info.height) = first.image_size().ok_or_else(|| damaged("truncated header"))?;
        }
        _ => return Err(damaged("unknown first chunk")),
    }
    info.extra_bytes = decoder_bytes(info.width, info.height);
    Ok(info)
}

/// Memory of the decoders in addition to the planes and the pixels.
fn decoder_bytes(width: u32, height: u32) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    // Lossy: rows of macroblocks, and the planes of the last ones. Lossless: transforms and prefix codes.
    let lossy = (1 << 16) + 1024 * u64::from(width.div_ceil(16)) + 32 * u64::from(width.max(height));
    lossy + vp8l::working_bytes(width, height) - 4 * pixels
}

/// True if the file declares that it has alpha.
pub(crate) fn has_alpha(original: &[u8]) -> bool {
    let header = Chunks::from_file(original).next().filter(|chunk| chunk.name == b"VP8X");
    header.and_then(|chunk| chunk.data.first()).is_some_and(|flags| flags & 0x10 != 0)
}

/// The VP8 frame of a still lossy image without alpha.
pub(crate) fn vp8_frame(original: &[u8]) -> Option<&[u8]> {
    let mut chunks = Chunks::from_file(original);
    let named = |chunk: &Chunk<'_>| matches!(chunk.name, b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF");
    // Chunks of alpha and animation precede those of the image.
    chunks.find(named).filter(|chunk| chunk.name == b"VP8 ").map(|chunk| chunk.data)
}

/// The ICC profile, unless it is unreasonably large.
pub(crate) fn icc_profile(original: &[u8]) -> Option<&[u8]> {
    let mut chunks = Chunks::from_file(original);
    let profile = chunks.find(|chunk| chunk.name == b"ICCP")?;
    (profile.data.len() <= PROFILE_BYTES_MAX).then_some(profile.data)
}

/// A frame of an animation (RFC 9649, section 2.7.1.1).
pub(crate) struct FrameChunk<'a> {
    pub(crate) rect: FrameRect,
    pub(crate) delay: Duration,
    /// True if the frame is alpha-blended over the canvas.
    pub(crate) is_blended: bool,
    /// True if its rectangle is cleared before the next frame.
    pub(crate) is_cleared: bool,
    pub(crate) chunks: Chunks<'a>,
}

impl<'a> FrameChunk<'a> {
    pub(crate) fn read(data: &'a [u8]) -> Option<Self> {
        let rect = FrameRect {
            x: 2 * (plus_one(data, 0)? - 1),
            y: 2 * (plus_one(data, 3)? - 1),
            width: plus_one(data, 6)?,
            height: plus_one(data, 9)?,
        };
        let delay = Duration::from_millis((plus_one(data, 12)? - 1).into());
        let flags = *data.get(15)?;
        let chunks = Chunks(data.get(16..)?);
        Some(Self { rect, delay, is_blended: flags & 2 == 0, is_cleared: flags & 1 != 0, chunks })
    }
}

/// A chunk. Its data is shorter than declared if the file is truncated.
pub(crate) struct Chunk<'a> {
    pub(crate) name: &'a [u8; 4],
    pub(crate) data: &'a [u8],
}

/// Iterates over consecutive chunks.
#[derive(Clone)]
pub(crate) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// The chunks after the RIFF header of a file.
    pub(crate) fn from_file(original: &'a [u8]) -> Self {
        Self(original.get(12..).unwrap_or_default())
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (name, rest) = self.0.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let data = rest.get(..length).unwrap_or(rest);
        // Chunks are padded to an even length.
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some(Chunk { name, data })
    }
}

impl Chunk<'_> {
    /// The size in the header of the image (RFC 6386, section 9.1; RFC 9649, section 3.4). `None` for other chunks.
    pub(crate) fn image_size(&self) -> Option<(u32, u32)> {
        match self.name {
            b"VP8 " => {
                let side = |at: usize| {
                    let side = self.data.get(at..)?.first_chunk::<2>()?;
                    Some(u32::from(u16::from_le_bytes(*side) & 0x3FFF))
                };
                Some((side(6)?, side(8)?))
            }
            b"VP8L" => {
                let bits = u32::from_le_bytes(*self.data.get(1..)?.first_chunk()?);
                Some((1 + (bits & 0x3FFF), 1 + ((bits >> 14) & 0x3FFF)))
            }
            _ => None,
        }
    }
}

impl Chunk<'_> {
    /// True for a lossless image that declares alpha (RFC 9649, section 3.4).
    pub(crate) fn has_alpha(&self) -> bool {
        self.name == b"VP8L" && self.data.get(4).is_some_and(|bits| bits & 0x10 != 0)
    }
}

/// Reads a 24-bit little-endian number and adds one (RFC 9649, section 2.3).
fn plus_one(data: &[u8], at: usize) -> Option<u32> {
    let &[low, middle, high] = data.get(at..)?.first_chunk()?;
    Some(1 + u32::from_le_bytes([low, middle, high, 0]))
}

pub(crate) fn canvas_size(header: &[u8]) -> Option<(u32, u32)> {
    Some((plus_one(header, 4)?, plus_one(header, 7)?))
}

/// Number of frames in an extended file. Checks that each image has the declared size and lies within the canvas (RFC 9649,
/// section 2.7.1.1).
fn check_frames(chunks: Chunks<'_>, canvas: (u32, u32)) -> Result<u32, Error> {
    let check_size = |chunk: &Chunk<'_>, size| match chunk.image_size() {
        Some(actual) if actual != size => Err(damaged("an image differs in size from its header")),
        _ => Ok(()),
    };
    let mut frames: u32 = 0;
    for chunk in chunks {
        check_size(&chunk, canvas)?;
        if chunk.name != b"ANMF" {
            continue;
        }
        frames = frames.saturating_add(1);
        let FrameChunk { rect, chunks, .. } =
            FrameChunk::read(chunk.data).ok_or_else(|| damaged("truncated frame header"))?;
        if rect.x + rect.width > canvas.0 || rect.y + rect.height > canvas.1 {
            return Err(damaged("a frame extends beyond its canvas"));
        }
        for inner in chunks {
            check_size(&inner, (rect.width, rect.height))?;
        }
    }
    Ok(frames)
}

/// The EXIF orientation. The chunk may start with the header that precedes EXIF data in a JPEG.
pub(crate) fn exif_orientation(exif: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
}
