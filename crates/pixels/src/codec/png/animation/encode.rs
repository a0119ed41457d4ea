//! Encodes animated PNG. Each frame contains only the changed rectangle, which replaces that of the canvas.

use std::time::Duration;

use crate::codec::animation::{FrameRect, LoopCount};
use crate::codec::png::chunks::{Chunks, SIGNATURE_BYTES, write_chunk};
use crate::codec::png::encode::encode;
use crate::deadline::Deadline;
use crate::effort::PngEffort;
use crate::error::Error;
use crate::pixels::Pixels;

/// Encodes frames of RGBA into a file.
pub(crate) struct ApngEncoder {
    size: (u32, u32),
    loop_count: LoopCount,
    file: Vec<u8>,
    /// The last frame.
    base: Vec<[u8; 4]>,
    frames: u32,
    /// The next sequence number.
    sequence: u32,
    deadline: Deadline,
}

/// Position of the acTL chunk: after the signature and IHDR.
const CONTROL_AT: usize = SIGNATURE_BYTES + 25;
const CONTROL_BYTES: usize = 20;

/// An upper bound, in bytes, on a file with frames of that many pixels. Deflate stores incompressible rows with some bytes
/// per block, and a frame has up to 150 bytes of chunks.
pub(crate) fn file_bytes(frames: u32, pixels: u64) -> u64 {
    u64::from(frames) * (5 * pixels + 256) + 1024
}

impl ApngEncoder {
    pub(crate) fn new(size: (u32, u32), loop_count: LoopCount, deadline: Deadline) -> Self {
        let mut file = b"\x89PNG\r\n\x1A\n".to_vec();
        // 8 bits, RGBA, deflate, adaptive filters, not interlaced.
        write_chunk(&mut file, b"IHDR", &[&size.0.to_be_bytes(), &size.1.to_be_bytes(), &[8, 6, 0, 0, 0]]);
        file.resize(CONTROL_AT + CONTROL_BYTES, 0);
        Self { size, loop_count, file, base: Vec::new(), frames: 0, sequence: 0, deadline }
    }

    /// Adds a frame of RGBA pixels with its duration.
    pub(crate) fn add(&mut self, pixels: &Pixels, delay: Duration) -> Result<(), Error> {
        let (frame, _) = pixels.data.as_chunks::<4>();
        if (pixels.width, pixels.height) != self.size || pixels.channels != 4 {
            return Err(Error::Encode { reason: "a frame differs in size from the canvas".to_owned() });
        }
        let is_first = self.frames == 0;
        let whole = FrameRect { x: 0, y: 0, width: self.size.0, height: self.size.1 };
        let rect = if is_first { whole } else { changed_rect(&self.base, frame, self.size.0 as usize) };
        let image = encode(&cropped(pixels, &rect), PngEffort::Default, self.deadline)?;
        self.write_control(&rect, delay);
        self.file.reserve_exact(image.len() + 32);
        for chunk in Chunks::new(&image[SIGNATURE_BYTES..]).filter(|chunk| chunk.name == b"IDAT") {
            if is_first {
                self.file.extend_from_slice(chunk.whole);
            } else {
                let number = self.next_number();
                write_chunk(&mut self.file, b"fdAT", &[&number, chunk.data]);
            }
        }
        self.base.clear();
        self.base.extend_from_slice(frame);
        self.frames += 1;
        Ok(())
    }

    /// Returns the file.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        write_chunk(&mut self.file, b"IEND", &[]);
        let mut control = Vec::with_capacity(CONTROL_BYTES);
        // More plays than the maximum are ignored by decoders (PNG, third edition, section 11.3.2.1).
        let plays = self.loop_count.0.min(i32::MAX.unsigned_abs());
        write_chunk(&mut control, b"acTL", &[&self.frames.to_be_bytes(), &plays.to_be_bytes()]);
        self.file[CONTROL_AT..CONTROL_AT + CONTROL_BYTES].copy_from_slice(&control);
        self.file
    }

    /// Writes an fcTL chunk: the frame replaces the rectangle and stays.
    fn write_control(&mut self, rect: &FrameRect, delay: Duration) {
        let (numerator, denominator) = match (u16::try_from(delay.as_millis()), u16::try_from(delay.as_millis() / 10)) {
            (Ok(millis), _) => (millis, 1000_u16),
            (Err(_), Ok(hundredths)) => (hundredths, 100),
            (Err(_), Err(_)) => (u16::try_from(delay.as_secs()).unwrap_or(u16::MAX), 1),
        };
        let number = self.next_number();
        let sides = [rect.width, rect.height, rect.x, rect.y].map(u32::to_be_bytes);
        let times = [numerator, denominator].map(u16::to_be_bytes);
        write_chunk(&mut self.file, b"fcTL", &[&number, sides.as_flattened(), times.as_flattened(), &[0, 0]]);
    }

    fn next_number(&mut self) -> [u8; 4] {
        let number = self.sequence.to_be_bytes();
        self.sequence += 1;
        number
    }
}

/// The pixels of a rectangle within the image.
fn cropped(pixels: &Pixels, rect: &FrameRect) -> Pixels {
    let columns = rect.x as usize..(rect.x + rect.width) as usize;
    let rows = rect.y as usize..(rect.y + rect.height) as usize;
    let mut data = Vec::with_capacity(4 * columns.len() * rows.len());
    rows.for_each(|y| data.extend_from_slice(pixels.row::<4>(y, columns.clone()).as_flattened()));
    Pixels { width: rect.width, height: rect.height, channels: 4, data }
}

/// The smallest rectangle that contains all changes, or a single pixel if nothing changed.
fn changed_rect(base: &[[u8; 4]], frame: &[[u8; 4]], width: usize) -> FrameRect {
    let rows = base.chunks_exact(width.max(1)).zip(frame.chunks_exact(width.max(1)));
    let (mut left, mut right, mut top, mut bottom) = (width, 0, None, 0);
    for (y, (base, frame)) in rows.enumerate().filter(|(_, (base, frame))| base != frame) {
        let changes = || base.iter().zip(frame).map(|(base, frame)| base != frame);
        let (first, last) = (changes().position(|is| is).unwrap_or(0), changes().rposition(|is| is).unwrap_or(0));
        (left, right) = (left.min(first), right.max(last));
        (top, bottom) = (top.or(Some(y)), y);
    }
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    match top {
        Some(top) => FrameRect {
            x: number(left),
            y: number(top),
            width: number(right - left + 1),
            height: number(bottom - top + 1),
        },
        None => FrameRect { x: 0, y: 0, width: 1, height: 1 },
    }
}
