//! Reads the chunks of an animated PNG. Decompresses nothing.

use std::time::Duration;

use crate::codec::animation::FrameRect;
use crate::codec::png::chunks::{Chunk, Chunks, SIGNATURE_BYTES, write_chunk};

/// A frame as stored.
pub(super) struct Frame<'a> {
    pub(super) rect: FrameRect,
    pub(super) delay: Duration,
    pub(super) dispose: Dispose,
    /// True if the frame is blended over the canvas, false if it replaces the canvas.
    pub(super) is_blended: bool,
    /// The parts of the compressed image.
    data: Vec<&'a [u8]>,
    /// True if the checksums of all parts are right.
    pub(super) is_whole: bool,
}

/// The change to the canvas after a frame was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dispose {
    None,
    Background,
    Previous,
}

/// Iterates over the frames, up to the first chunk that is invalid or out of order.
pub(super) struct FrameChunks<'a> {
    /// The signature and IHDR.
    start: &'a [u8],
    /// The chunks between IHDR and the first frame that the decoding of a frame needs.
    tables: Vec<&'a [u8]>,
    rest: Chunks<'a>,
    /// The frame whose fcTL was read.
    pending: Option<Frame<'a>>,
    /// The next sequence number.
    sequence: u32,
    /// Number of frames that the file declares.
    pub(super) frames_max: u32,
    /// Number of plays that the file declares. 0 is infinite.
    pub(super) plays: u32,
}

/// Length of the signature and the IHDR chunk.
const START_BYTES: usize = SIGNATURE_BYTES + 25;

impl<'a> FrameChunks<'a> {
    /// `None` if the file is not animated.
    pub(super) fn new(original: &'a [u8]) -> Option<Self> {
        let (start, rest) = original.split_at_checked(START_BYTES)?;
        let mut chunks = Chunks::new(rest);
        let mut tables = Vec::new();
        let control = loop {
            let chunk = chunks.next()?;
            match chunk.name {
                b"acTL" => break chunk,
                b"IDAT" | b"IEND" => return None,
                _ => tables.extend(is_table(&chunk).then_some(chunk.whole)),
            }
        };
        let &[f0, f1, f2, f3, p0, p1, p2, p3] = control.data else { return None };
        let frames_max = u32::from_be_bytes([f0, f1, f2, f3]);
        let plays = u32::from_be_bytes([p0, p1, p2, p3]);
        (control.is_whole() && frames_max > 0).then_some(Self {
            start,
            tables,
            rest: chunks,
            pending: None,
            sequence: 0,
            frames_max,
            plays,
        })
    }

    /// A file with the frame as a still image.
    pub(super) fn file(&self, frame: &Frame<'_>) -> Vec<u8> {
        let tables = self.tables.iter().map(|chunk| chunk.len()).sum::<usize>();
        let data = frame.data.iter().map(|part| part.len()).sum::<usize>();
        let mut file = Vec::with_capacity(START_BYTES + tables + data + 24);
        file.extend_from_slice(&self.start[..SIGNATURE_BYTES]);
        // Depth, color type, compression, filter and interlace of IHDR follow the size.
        let format = self.start.get(SIGNATURE_BYTES + 16..SIGNATURE_BYTES + 21).unwrap_or_default();
        write_chunk(&mut file, b"IHDR", &[&frame.rect.width.to_be_bytes(), &frame.rect.height.to_be_bytes(), format]);
        self.tables.iter().for_each(|chunk| file.extend_from_slice(chunk));
        write_chunk(&mut file, b"IDAT", &frame.data);
        write_chunk(&mut file, b"IEND", &[]);
        file
    }

    /// Takes the sequence number at the start of a chunk. `None` if it is not the next one.
    fn sequenced(&mut self, chunk: &Chunk<'a>) -> Option<&'a [u8]> {
        let (number, data) = chunk.data.split_first_chunk::<4>()?;
        let is_next = u32::from_be_bytes(*number) == self.sequence;
        self.sequence += 1;
        is_next.then_some(data)
    }

    /// Ends the iteration.
    fn end(&mut self) -> Option<Frame<'a>> {
        self.rest = Chunks::new(&[]);
        self.pending.take().filter(|frame| !frame.data.is_empty())
    }
}

impl<'a> Iterator for FrameChunks<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        while let Some(chunk) = self.rest.next() {
            match chunk.name {
                b"fcTL" => {
                    let control = self.sequenced(&chunk).filter(|_| chunk.is_whole());
                    let Some(next) = control.and_then(Frame::read) else { return self.end() };
                    let last = self.pending.replace(next);
                    if let Some(last) = last.filter(|frame| !frame.data.is_empty()) {
                        return Some(last);
                    }
                }
                // Image data before the first fcTL are the default image, which is not a part of the animation.
                b"IDAT" => {
                    if let Some(frame) = &mut self.pending {
                        frame.push(chunk.data, chunk.is_whole());
                    }
                }
                b"fdAT" => {
                    let Some(data) = self.sequenced(&chunk) else { return self.end() };
                    if let Some(frame) = &mut self.pending {
                        frame.push(data, chunk.is_whole());
                    }
                }
                b"IEND" => return self.end(),
                _ if self.sequence == 0 && is_table(&chunk) => self.tables.push(chunk.whole),
                _ => {}
            }
        }
        self.end()
    }
}

impl<'a> Frame<'a> {
    /// Reads an fcTL chunk after its sequence number.
    fn read(data: &[u8]) -> Option<Self> {
        let (sides, rest) = data.split_first_chunk::<16>()?;
        let &[n0, n1, d0, d1, dispose, blend] = rest else { return None };
        let side = |n: usize| u32::from_be_bytes([sides[4 * n], sides[4 * n + 1], sides[4 * n + 2], sides[4 * n + 3]]);
        let rect = FrameRect { width: side(0), height: side(1), x: side(2), y: side(3) };
        let (numerator, denominator) = (u16::from_be_bytes([n0, n1]), u16::from_be_bytes([d0, d1]));
        // A denominator of zero means 100.
        let denominator = if denominator == 0 { 100 } else { denominator };
        let dispose = match dispose {
            0 => Dispose::None,
            1 => Dispose::Background,
            2 => Dispose::Previous,
            _ => return None,
        };
        let delay = Duration::from_millis(1000 * u64::from(numerator) / u64::from(denominator));
        let (is_blended, data) = (blend == 1, Vec::new());
        (blend < 2).then_some(Self { rect, delay, dispose, is_blended, data, is_whole: true })
    }

    fn push(&mut self, data: &'a [u8], is_whole: bool) {
        self.data.push(data);
        self.is_whole &= is_whole;
    }
}

/// True if decoding needs the chunk: the palette, its alpha, or the colors.
fn is_table(chunk: &Chunk<'_>) -> bool {
    matches!(chunk.name, b"PLTE" | b"tRNS" | b"cICP" | b"iCCP" | b"sRGB" | b"gAMA" | b"cHRM")
}
