//! WebP as it is read: its chunks (RFC 9649), and its pixels by a decoder that is told none of them but the right ones.
//!
//! The chunks are walked before anything is decoded, since a picture inside may be larger than the canvas says.

use std::io::{self, BufRead, Cursor, Read, Seek, SeekFrom};
use std::time::Duration;

use image::metadata::Orientation;
use image_webp::{DecodingError, WebPDecoder};

use crate::codec::animation::{Canvas, Frames, Loops, Place, unhurried};
use crate::context::Job;
use crate::deadline::Deadline;
use crate::error::RenderError;
use crate::info::Facts;
use crate::pixels::Pixels;
use crate::render::encode;
use crate::transform::color::PROFILE_BYTES_MAX;

/// What the chunks say; no pixel is decoded.
pub(crate) fn facts(original: &[u8]) -> Result<Facts, RenderError> {
    let mut chunks = Chunks::of(original);
    let first = chunks.next().ok_or_else(|| damaged("it ends before its first chunk"))?;
    let mut facts = Facts {
        size: (0, 0),
        orientation: Orientation::NoTransforms,
        pixel_bytes: 4,
        // Planes of 4:2:0, or the pixels of a lossless one before alpha is taken off.
        codec_bytes: 4,
        frames: 1,
    };
    match first.name {
        b"VP8X" => {
            facts.size = canvas_size(first.data).ok_or_else(|| damaged("a short header"))?;
            facts.frames = extended(chunks, facts.size)?;
            if facts.frames > 1 {
                // A frame, and its bytes.
                facts.codec_bytes += 4;
            }
            let exif = Chunks::of(original).find(|chunk| chunk.name == b"EXIF");
            facts.orientation = exif.and_then(|chunk| orientation(chunk.data)).unwrap_or(Orientation::NoTransforms);
        }
        b"VP8 " | b"VP8L" => facts.size = first.picture_size().ok_or_else(|| damaged("a short header"))?,
        _ => return Err(damaged("it begins with an unknown chunk")),
    }
    Ok(facts)
}

/// The picture, or an animation's first frame; and the profile.
pub(crate) fn decode(original: &[u8], job: &Job) -> Result<(Pixels, Option<Vec<u8>>), RenderError> {
    let profile = profile(original).map(<[u8]>::to_vec);
    let is_animated = Chunks::of(original).any(|chunk| chunk.name == b"ANMF");
    if !is_animated {
        return Ok((picture(original, job)?, profile));
    }
    let mut frames = WebP::open(original)?;
    match frames.next(job)? {
        Some(_) => Ok((frames.canvas.into_pixels(), profile)),
        None => Err(damaged("it has no frame")),
    }
}

/// A file of one picture.
fn picture(file: &[u8], job: &Job) -> Result<Pixels, RenderError> {
    let bytes = Watched { bytes: Cursor::new(file), deadline: job.deadline };
    let mut decoder = WebPDecoder::new(bytes).map_err(|error| failed(&error, job))?;
    let (width, height) = decoder.dimensions();
    let mut data = vec![0; decoder.output_buffer_size().unwrap_or_default()];
    decoder.read_image(&mut data).map_err(|error| failed(&error, job))?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    Ok(Pixels { width, height, channels, data })
}

/// The frame of VP8 that is all the picture there is: lossy, without alpha and still.
pub(crate) fn frame(original: &[u8]) -> Option<&[u8]> {
    let mut chunks = Chunks::of(original);
    let named = |chunk: &Chunk<'_>| matches!(chunk.name, b"VP8 " | b"VP8L" | b"ALPH" | b"ANIM" | b"ANMF");
    // Alpha and animation are announced before the picture.
    chunks.find(named).filter(|chunk| chunk.name == b"VP8 ").map(|chunk| chunk.data)
}

/// The colour profile, if there is one of a size that profiles have.
pub(crate) fn profile(original: &[u8]) -> Option<&[u8]> {
    let mut chunks = Chunks::of(original);
    let profile = chunks.find(|chunk| chunk.name == b"ICCP")?;
    (profile.data.len() <= PROFILE_BYTES_MAX).then_some(profile.data)
}

/// The frames, as they are seen. Each is decoded as a file of its own and laid on the canvas here: the decoder's own
/// canvas forgets to clear some frames and clears the wrong places of others.
pub(crate) struct WebP<'a> {
    chunks: Chunks<'a>,
    canvas: Canvas,
    /// What of the canvas is to be cleared before the next frame.
    clear: Option<Place>,
    loops: Loops,
}

impl<'a> WebP<'a> {
    pub(crate) fn open(original: &'a [u8]) -> Result<Self, RenderError> {
        let mut chunks = Chunks::of(original);
        let header = chunks.next().filter(|chunk| chunk.name == b"VP8X");
        let size = header.and_then(|chunk| canvas_size(chunk.data)).ok_or_else(|| damaged("a short header"))?;
        let animation = Chunks::of(original).find(|chunk| chunk.name == b"ANIM");
        let loops = animation.and_then(|chunk| Some(u16::from_le_bytes(*chunk.data.get(4..)?.first_chunk()?)));
        let loops = loops.map_or(Loops::ONCE, Loops);
        Ok(Self { chunks, canvas: Canvas::clear(size.0, size.1), clear: None, loops })
    }

    /// Lays a frame on the canvas.
    fn draw(&mut self, frame: &Frame<'_>, job: &Job) -> Result<(), RenderError> {
        if let Some(place) = self.clear.take() {
            self.canvas.clear_at(&place);
        }
        let picture = picture(&frame.alone(), job)?;
        if (picture.width, picture.height) != (frame.place.width, frame.place.height) {
            return Err(damaged("a picture of another size than is announced"));
        }
        let picture = encode::rgba(picture);
        let (pixels, _) = picture.data.as_chunks::<4>();
        if frame.is_blended {
            self.canvas.blend(&frame.place, pixels);
        } else {
            self.canvas.draw(&frame.place, pixels, |pixel| Some(*pixel));
        }
        self.clear = frame.is_cleared.then_some(frame.place);
        Ok(())
    }
}

impl Frames for WebP<'_> {
    fn next(&mut self, job: &Job) -> Result<Option<Duration>, RenderError> {
        let Some(chunk) = self.chunks.find(|chunk| chunk.name == b"ANMF") else { return Ok(None) };
        let frame = Frame::read(chunk.data).ok_or_else(|| damaged("a short frame"))?;
        self.draw(&frame, job)?;
        Ok(Some(unhurried(frame.shown)))
    }

    fn canvas(&self) -> &Pixels {
        self.canvas.pixels()
    }

    fn loops(&self) -> Loops {
        self.loops
    }
}

/// A frame of an animation (RFC 9649 section 2.7.1.1).
struct Frame<'a> {
    place: Place,
    shown: Duration,
    /// Whether what is below shows through what is clear.
    is_blended: bool,
    /// Whether its place is cleared before the next.
    is_cleared: bool,
    chunks: Chunks<'a>,
}

impl<'a> Frame<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let place = Place {
            x: 2 * (plus_one(data, 0)? - 1),
            y: 2 * (plus_one(data, 3)? - 1),
            width: plus_one(data, 6)?,
            height: plus_one(data, 9)?,
        };
        let shown = Duration::from_millis((plus_one(data, 12)? - 1).into());
        let flags = *data.get(15)?;
        let chunks = Chunks(data.get(16..)?);
        Some(Self { place, shown, is_blended: flags & 2 == 0, is_cleared: flags & 1 != 0, chunks })
    }

    /// The frame as a file of its own.
    fn alone(&self) -> Vec<u8> {
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
                    let [width, height] = [self.place.width - 1, self.place.height - 1].map(u32::to_le_bytes);
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
struct Chunk<'a> {
    name: &'a [u8; 4],
    data: &'a [u8],
}

/// Chunk after chunk, to the end of what there is.
#[derive(Clone)]
struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// Those of a file, behind its own header.
    fn of(original: &'a [u8]) -> Self {
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
    fn picture_size(&self) -> Option<(u32, u32)> {
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

fn canvas_size(header: &[u8]) -> Option<(u32, u32)> {
    Some((plus_one(header, 4)?, plus_one(header, 7)?))
}

/// How many pictures an extended file has, each of which has to have the size that it is announced with and to lie on the canvas
/// (RFC 9649 section 2.7.1.1).
fn extended(chunks: Chunks<'_>, canvas: (u32, u32)) -> Result<u32, RenderError> {
    let same = |chunk: &Chunk<'_>, size| match chunk.picture_size() {
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
        let Frame { place, chunks, .. } = Frame::read(chunk.data).ok_or_else(|| damaged("a short frame"))?;
        if place.x + place.width > canvas.0 || place.y + place.height > canvas.1 {
            return Err(damaged("a frame reaches beyond its canvas"));
        }
        for inner in chunks {
            same(&inner, (place.width, place.height))?;
        }
    }
    Ok(frames.max(1))
}

/// What EXIF says, with or without the header that it has in a JPEG.
pub(crate) fn orientation(exif: &[u8]) -> Option<Orientation> {
    Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
}

fn damaged(reason: &str) -> RenderError {
    RenderError::Damaged { reason: reason.to_owned() }
}

fn failed(error: &DecodingError, job: &Job) -> RenderError {
    if job.deadline.is_ahead() { damaged(&error.to_string()) } else { job.deadline.error() }
}

/// Bytes that end in an error when time is over; they are given in pieces small enough for that.
struct Watched<'a> {
    bytes: Cursor<&'a [u8]>,
    deadline: Deadline,
}

const PIECE_BYTES: usize = 4096;

impl BufRead for Watched<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.deadline.is_ahead() {
            return Err(io::Error::other("out of time"));
        }
        let rest = self.bytes.fill_buf()?;
        Ok(&rest[..rest.len().min(PIECE_BYTES)])
    }

    fn consume(&mut self, bytes: usize) {
        self.bytes.consume(bytes);
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buffer)
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}
