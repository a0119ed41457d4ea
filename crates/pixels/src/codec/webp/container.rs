//! WebP as it is read: its chunks (RFC 9649).
//!
//! The chunks are walked before anything is decoded, since a picture inside may be larger than the canvas says.

use std::time::Duration;

use image::metadata::Orientation;

use crate::codec::animation::FrameRect;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::transform::color::PROFILE_BYTES_MAX;

/// What the chunks say; no pixel is decoded.
pub(crate) fn read_info(original: &[u8]) -> Result<ImageInfo, Error> {
    let mut chunks = Chunks::from_file(original);
    let first = chunks.next().ok_or_else(|| damaged("it ends before its first chunk"))?;
    let mut info = ImageInfo {
        pixel_bytes: 4,
        // Planes of 4:2:0, or the pixels of a lossless one before alpha is taken off.
        codec_bytes: 4,
        ..ImageInfo::default()
    };
    match first.name {
        b"VP8X" => {
            (info.width, info.height) = canvas_size(first.data).ok_or_else(|| damaged("a short header"))?;
            info.frames = extended(chunks, (info.width, info.height))?;
            if info.frames > 1 {
                // A frame, and its bytes.
                info.codec_bytes += 4;
            }
            let exif = Chunks::from_file(original).find(|chunk| chunk.name == b"EXIF");
            info.orientation = exif.and_then(|chunk| exif_orientation(chunk.data)).unwrap_or(Orientation::NoTransforms);
        }
        b"VP8 " | b"VP8L" => {
            (info.width, info.height) = first.image_size().ok_or_else(|| damaged("a short header"))?;
        }
        _ => return Err(damaged("it begins with an unknown chunk")),
    }
    Ok(info)
}

/// The frame of VP8 that is all the picture there is: lossy, without alpha and still.
pub(crate) fn vp8_frame(original: &[u8]) -> Option<&[u8]> {
    let mut chunks = Chunks::from_file(original);
    let named = |chunk: &Chunk<'_>| matches!(chunk.name, b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF");
    // Alpha and animation are announced before the picture.
    chunks.find(named).filter(|chunk| chunk.name == b"VP8 ").map(|chunk| chunk.data)
}

/// The color profile, if there is one of a size that profiles have.
pub(crate) fn icc_profile(original: &[u8]) -> Option<&[u8]> {
    let mut chunks = Chunks::from_file(original);
    let profile = chunks.find(|chunk| chunk.name == b"ICCP")?;
    (profile.data.len() <= PROFILE_BYTES_MAX).then_some(profile.data)
}

/// A frame of an animation (RFC 9649 section 2.7.1.1).
pub(crate) struct FrameChunk<'a> {
    pub(crate) rect: FrameRect,
    pub(crate) delay: Duration,
    /// Whether what is below shows through what is clear.
    pub(crate) is_blended: bool,
    /// Whether its place is cleared before the next.
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

    /// The frame as a file of its own.
    pub(crate) fn to_file(&self) -> Vec<u8> {
        let find = |name: &[u8; 4]| self.chunks.clone().find(|chunk| chunk.name == name);
        let mut body = b"WEBP".to_vec();
        let mut put = |name: &[u8; 4], data: &[u8]| {
            body.extend(name);
            body.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_le_bytes());
            body.extend(data);
            body.resize(body.len().next_multiple_of(2), 0);
        };
        match (find(b"VP8L"), find(b"ALPH"), find(b"VP8 ")) {
            (Some(lossless), ..) => put(b"VP8L", lossless.data),
            (None, alpha, lossy) => {
                if let Some(alpha) = alpha {
                    let [width, height] = [self.rect.width - 1, self.rect.height - 1].map(u32::to_le_bytes);
                    // The flag says that there is alpha.
                    put(b"VP8X", &[&[0x10, 0, 0, 0], &width[..3], &height[..3]].concat());
                    put(b"ALPH", alpha.data);
                }
                if let Some(lossy) = lossy {
                    put(b"VP8 ", lossy.data);
                }
            }
        }
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&b"RIFF"[..], &length, &body].concat()
    }
}

/// A chunk; its data are cut off where the file is.
pub(crate) struct Chunk<'a> {
    pub(crate) name: &'a [u8; 4],
    pub(crate) data: &'a [u8],
}

/// Chunk after chunk, to the end of what there is.
#[derive(Clone)]
pub(crate) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// Those of a file, behind its own header.
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
        // Chunks begin at even places.
        self.0 = rest.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some(Chunk { name, data })
    }
}

impl Chunk<'_> {
    /// The size that a picture itself says (RFC 6386 section 9.1; RFC 9649 section 3.4), if this is one.
    fn image_size(&self) -> Option<(u32, u32)> {
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

/// Three bytes, the lowest first, and one more (RFC 9649 section 2.3).
fn plus_one(data: &[u8], at: usize) -> Option<u32> {
    let &[low, middle, high] = data.get(at..)?.first_chunk()?;
    Some(1 + u32::from_le_bytes([low, middle, high, 0]))
}

pub(crate) fn canvas_size(header: &[u8]) -> Option<(u32, u32)> {
    Some((plus_one(header, 4)?, plus_one(header, 7)?))
}

/// How many pictures an extended file has, each of which has to have the size that it is announced with and to lie on the canvas
/// (RFC 9649 section 2.7.1.1).
fn extended(chunks: Chunks<'_>, canvas: (u32, u32)) -> Result<u32, Error> {
    let same = |chunk: &Chunk<'_>, size| match chunk.image_size() {
        Some(own) if own != size => Err(damaged("a picture of another size than is announced")),
        _ => Ok(()),
    };
    let mut frames: u32 = 0;
    for chunk in chunks {
        same(&chunk, canvas)?;
        if chunk.name != b"ANMF" {
            continue;
        }
        frames = frames.saturating_add(1);
        let FrameChunk { rect, chunks, .. } = FrameChunk::read(chunk.data).ok_or_else(|| damaged("a short frame"))?;
        if rect.x + rect.width > canvas.0 || rect.y + rect.height > canvas.1 {
            return Err(damaged("a frame reaches beyond its canvas"));
        }
        for inner in chunks {
            same(&inner, (rect.width, rect.height))?;
        }
    }
    Ok(frames.max(1))
}

/// What EXIF says, with or without the header that it has in a JPEG.
pub(crate) fn exif_orientation(exif: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
}
