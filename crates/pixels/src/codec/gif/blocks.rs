//! The block structure of a GIF (GIF89a, CompuServe 1990). Nothing is decompressed.

use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::slice;

use crate::deadline::Deadline;

/// Length of the signature and the logical screen descriptor, and position of the flags in it (GIF89a, section 18).
const HEADER_BYTES: usize = 13;
const FLAGS_AT: usize = 10;
/// The flag of a color table for all frames. The lowest three flags are its size.
const TABLE_FLAG: u8 = 0x80;

/// The first byte of an image, an extension, and the trailer.
const IMAGE: u8 = 0x2C;
const EXTENSION: u8 = 0x21;
pub(crate) const TRAILER: u8 = 0x3B;
/// Length of an image descriptor, and position of its flags (GIF89a, section 20).
const IMAGE_BYTES: usize = 10;
const IMAGE_FLAGS_AT: usize = 9;
/// Labels of a graphic control extension and an application extension (GIF89a, sections 23 and 26).
const CONTROL: u8 = 0xF9;
const APPLICATION: u8 = 0xFF;
/// The application extension with the loop count. Browsers know it by two names.
const LOOP_NAMES: [&[u8]; 2] = [b"\x0BNETSCAPE2.0", b"\x0BANIMEXTS1.0"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    /// The signature, the logical screen descriptor, and the color table for all frames.
    Header,
    /// An image descriptor, its color table and its pixels.
    Image,
    /// A graphic control extension: delay, transparency and disposal of the next image.
    Control,
    /// The loop count.
    Loop,
    /// Any other extension, such as a comment, XMP, or an ICC profile.
    Other,
    Trailer,
    /// The rest of a file that is truncated or damaged.
    Damaged,
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block<'a> {
    pub(crate) kind: BlockKind,
    pub(crate) bytes: &'a [u8],
}

/// Iterates over the blocks of a file, up to the trailer. A file that ends between two blocks has no [`BlockKind::Damaged`].
#[derive(Debug, Clone)]
pub(crate) struct Blocks<'a> {
    rest: &'a [u8],
    is_at_start: bool,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(file: &'a [u8]) -> Self {
        Self { rest: file, is_at_start: true }
    }

    /// Kind and length of the next block. `None` if the file is truncated or damaged.
    fn kind_and_length(&self) -> Option<(BlockKind, usize)> {
        let rest = self.rest;
        if self.is_at_start {
            return Some((BlockKind::Header, HEADER_BYTES + table_bytes(*rest.get(FLAGS_AT)?)));
        }
        match *rest.first()? {
            TRAILER => Some((BlockKind::Trailer, 1)),
            IMAGE => {
                // The minimum code size precedes the data.
                let data_at = IMAGE_BYTES + table_bytes(*rest.get(IMAGE_FLAGS_AT)?) + 1;
                Some((BlockKind::Image, data_at + sub_blocks_bytes(rest.get(data_at..)?)?))
            }
            EXTENSION => {
                let data = rest.get(2..)?;
                let kind = match *rest.get(1)? {
                    CONTROL => BlockKind::Control,
                    APPLICATION if LOOP_NAMES.iter().any(|name| data.starts_with(name)) => BlockKind::Loop,
                    _ => BlockKind::Other,
                };
                Some((kind, 2 + sub_blocks_bytes(data)?))
            }
            _ => None,
        }
    }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Block<'a>;

    fn next(&mut self) -> Option<Block<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let found = self.kind_and_length().filter(|(_, length)| *length <= self.rest.len());
        let (kind, length) = found.unwrap_or((BlockKind::Damaged, self.rest.len()));
        let (bytes, rest) = self.rest.split_at(length);
        self.is_at_start = false;
        self.rest = if kind == BlockKind::Trailer { &[] } else { rest };
        Some(Block { kind, bytes })
    }
}

/// Size of the color table that these flags announce.
fn table_bytes(flags: u8) -> usize {
    if flags & TABLE_FLAG == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Length of data sub-blocks with their terminator (GIF89a, sections 15 and 16).
fn sub_blocks_bytes(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*data.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}

/// True if the file has a color table for all frames.
pub(crate) fn has_table(file: &[u8]) -> bool {
    file.get(FLAGS_AT).is_some_and(|flags| flags & TABLE_FLAG != 0)
}

/// Reads the blocks of a file that affect its frames. The decoder would collect other extensions, such as XMP, in memory.
/// A missing trailer is added if the file ends between two blocks, and a color table of two colors if the file has none
/// for all frames, because the decoder refuses frames without a table.
pub(crate) struct FrameBlocks<'a> {
    blocks: Blocks<'a>,
    /// The rest of a changed header.
    header: Cursor<Vec<u8>>,
    /// The rest of the current block.
    block: &'a [u8],
    last: BlockKind,
    deadline: Deadline,
    skipped: u32,
}

/// Number of extensions that are skipped between two checks of the deadline.
const SKIPPED_PER_CHECK: u32 = 1 << 10;

impl<'a> FrameBlocks<'a> {
    pub(crate) fn new(file: &'a [u8], deadline: Deadline) -> Self {
        let mut blocks = Blocks::new(file);
        let mut header = Vec::new();
        if !has_table(file) && file.len() >= HEADER_BYTES {
            let original = blocks.next().map(|block| block.bytes).unwrap_or_default();
            header.extend_from_slice(original);
            if let Some(flags) = header.get_mut(FLAGS_AT) {
                *flags = TABLE_FLAG;
            }
            header.extend([0; 6]);
        }
        Self { blocks, header: Cursor::new(header), block: &[], last: BlockKind::Header, deadline, skipped: 0 }
    }

    /// Advances to the next block that affects frames. `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        loop {
            let Some(block) = self.blocks.next() else {
                let is_ended = matches!(self.last, BlockKind::Trailer | BlockKind::Damaged);
                self.block = if is_ended { &[] } else { slice::from_ref(&TRAILER) };
                self.last = BlockKind::Trailer;
                return Ok(!is_ended);
            };
            (self.block, self.last) = (block.bytes, block.kind);
            if block.kind != BlockKind::Other {
                return Ok(true);
            }
            self.skipped = self.skipped.wrapping_add(1);
            if self.skipped.is_multiple_of(SKIPPED_PER_CHECK) && !self.deadline.is_ahead() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Read for FrameBlocks<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from_header = self.header.read(buffer)?;
        if from_header > 0 {
            return Ok(from_header);
        }
        while self.block.is_empty() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        self.block.read(buffer)
    }
}

/// Size of the canvas of a file: the logical screen, enlarged to contain the first frame. Reads up to the first frame, and
/// keeps nothing in memory.
///
/// # Errors
/// The header is truncated.
pub(crate) fn canvas_size<R: Read + Seek>(file: R) -> io::Result<(u32, u32)> {
    let mut file = BufReader::new(file);
    let mut header = [0; HEADER_BYTES];
    file.read_exact(&mut header)?;
    let screen = pair(&header, 6);
    let flags = header[FLAGS_AT];
    let frame = first_frame(&mut file, flags).unwrap_or_default();
    Ok((screen.0.max(frame.0), screen.1.max(frame.1)))
}

/// The right and the bottom edge of the first frame.
///
/// # Errors
/// There is no frame.
fn first_frame<R: Read + Seek>(file: &mut BufReader<R>, flags: u8) -> io::Result<(u32, u32)> {
    let skip = |file: &mut BufReader<R>, bytes: usize| file.seek_relative(i64::try_from(bytes).unwrap_or(i64::MAX));
    skip(file, table_bytes(flags))?;
    loop {
        let [kind, label] = first_bytes(file)?;
        match kind {
            IMAGE => {
                // The byte after the first is part of the position.
                let mut rest = [0; 7];
                file.read_exact(&mut rest)?;
                let [x1, y0, y1, w0, w1, h0, h1] = rest;
                let ((x, y), (width, height)) = (pair(&[label, x1, y0, y1], 0), pair(&[w0, w1, h0, h1], 0));
                return Ok((x + width, y + height));
            }
            EXTENSION => loop {
                let [length] = first_bytes(file)?;
                if length == 0 {
                    break;
                }
                skip(file, length.into())?;
            },
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn first_bytes<const N: usize>(file: &mut impl BufRead) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Two little-endian numbers of 16 bits.
fn pair(bytes: &[u8], at: usize) -> (u32, u32) {
    let number = |at: usize| {
        let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk::<2>());
        bytes.map_or(0, |bytes| u32::from(u16::from_le_bytes(*bytes)))
    };
    (number(at), number(at + 2))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SCREEN: &[u8] = b"GIF89a\x02\0\x01\0\0\0\0";
    const FRAME: &[u8] = b"\x2C\x01\0\0\0\x04\0\x05\0\0\x02\x01\0\0";
    const DELAY: &[u8] = b"\x21\xF9\x04\0\x05\0\0\0";
    const LOOP: &[u8] = b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0";
    const COMMENT: &[u8] = b"\x21\xFE\x02hi\x01!\0";

    fn kinds(file: &[u8]) -> Vec<BlockKind> {
        Blocks::new(file).map(|block| block.kind).collect()
    }

    fn read(file: &[u8], deadline: Deadline) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        FrameBlocks::new(file, deadline).read_to_end(&mut read).map(|_| read)
    }

    #[test]
    fn blocks_are_split_and_end_with_the_trailer() {
        use BlockKind::{Control, Damaged, Header, Image, Loop, Other, Trailer};
        let file = [SCREEN, LOOP, COMMENT, DELAY, FRAME, b";after"].concat();
        assert_eq!(kinds(&file), [Header, Loop, Other, Control, Image, Trailer]);
        assert_eq!(Blocks::new(&file).map(|block| block.bytes).collect::<Vec<_>>().concat(), file[..file.len() - 5]);
        assert_eq!(kinds(&[SCREEN, FRAME, b"\0\0"].concat()), [Header, Image, Damaged]);
        assert_eq!(kinds(&[SCREEN, FRAME, DELAY].concat()), [Header, Image, Control]);
        for end in 1..SCREEN.len() {
            assert_eq!(kinds(&SCREEN[..end]), [Damaged], "{end}");
        }
        for end in 1..FRAME.len() {
            assert_eq!(kinds(&[SCREEN, &FRAME[..end]].concat()), [Header, Damaged], "{end}");
        }
    }

    #[test]
    fn only_blocks_that_affect_frames_are_read() {
        let table_of_two = [b"GIF89a\x02\0\x01\0\x80\0\0".as_slice(), &[0; 6]].concat();
        let file = [SCREEN, COMMENT, LOOP, DELAY, FRAME, COMMENT, b";"].concat();
        let expected = [&table_of_two, LOOP, DELAY, FRAME, b";"].concat();
        assert_eq!(read(&file, Deadline::NEVER).unwrap(), expected);
        // A missing trailer is added only between two blocks.
        let without_trailer = &file[..file.len() - 1];
        assert_eq!(read(without_trailer, Deadline::NEVER).unwrap(), expected);
        let cut = [SCREEN, &FRAME[..FRAME.len() - 1]].concat();
        assert_eq!(read(&cut, Deadline::NEVER).unwrap(), [&table_of_two, &FRAME[..FRAME.len() - 1]].concat());
        assert_eq!(read(b"GIF89a", Deadline::NEVER).unwrap(), b"GIF89a");
    }

    #[test]
    fn skipping_many_extensions_stops_at_the_deadline() {
        let file = [SCREEN, &b"\x21\xFE\0".repeat(2000), FRAME].concat();
        assert!(read(&file, Deadline::NEVER).is_ok());
        assert_eq!(read(&file, Deadline::after(Duration::ZERO)).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn canvas_contains_the_screen_and_the_first_frame() {
        let size = |file: &[u8]| canvas_size(Cursor::new(file)).ok();
        let xmp = [b"\x21\xFF\x0BXMP DataXMP".as_slice(), &vec![255; 256 * 8000], &[0]].concat();
        assert_eq!(size(&[SCREEN, &xmp, DELAY, FRAME].concat()), Some((5, 5)));
        assert_eq!(size(&[SCREEN, b";"].concat()), Some((2, 1)));
        assert_eq!(size(&[SCREEN, &FRAME[..8]].concat()), Some((2, 1)));
        assert_eq!(size(&SCREEN[..12]), None);
        let with_table = [b"GIF89a\x02\0\x01\0\x81\0\0".as_slice(), &[0x2C; 12], FRAME].concat();
        assert_eq!(size(&with_table), Some((5, 5)));
    }
}
