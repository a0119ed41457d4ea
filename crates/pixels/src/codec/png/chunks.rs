//! Reads the chunks before the pixel data of a PNG (third edition, section 5). Nothing is decompressed.

use crate::codec::png::color::ColorChunks;
use crate::error::{Error, damaged};

/// The chunks that define the format of the image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PngHeader<'a> {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits per sample.
    pub(crate) depth: u8,
    /// Samples per pixel as stored; 1 for a palette.
    pub(crate) stored_channels: u8,
    /// Samples per pixel with alpha, and with the palette replaced by its colors.
    pub(crate) channels: u8,
    pub(crate) is_interlaced: bool,
    /// True if the checksum of IHDR is right.
    pub(crate) is_whole: bool,
    /// The payload of the eXIf chunk.
    pub(crate) exif: Option<&'a [u8]>,
    /// The chunks that describe colors.
    pub(crate) color: ColorChunks<'a>,
}

impl<'a> PngHeader<'a> {
    /// Reads the chunks up to the first with pixel data. Allocates nothing.
    ///
    /// # Errors
    /// The first chunk is not IHDR, or its length or color type is invalid.
    pub(crate) fn read(original: &'a [u8]) -> Result<Self, Error> {
        let mut chunks = Chunks::from_file(original);
        let first = chunks.next().ok_or_else(|| damaged("truncated header"))?;
        if first.name != b"IHDR" {
            return Err(damaged("IHDR is not the first chunk"));
        }
        let &[w0, w1, w2, w3, h0, h1, h2, h3, depth, color, _, _, interlace] = first.data else {
            return Err(damaged("invalid header"));
        };
        let (stored_channels, opaque_channels) = match color {
            0 => (1, 1),
            2 => (3, 3),
            3 => (1, 3),
            4 => (2, 2),
            6 => (4, 4),
            _ => return Err(damaged("invalid color type")),
        };
        let mut header = Self {
            width: u32::from_be_bytes([w0, w1, w2, w3]),
            height: u32::from_be_bytes([h0, h1, h2, h3]),
            depth,
            stored_channels,
            channels: opaque_channels,
            is_interlaced: interlace != 0,
            is_whole: first.is_whole(),
            exif: None,
            color: ColorChunks::default(),
        };
        let mut has_palette = false;
        for chunk in chunks.take_while(|chunk| chunk.name != b"IDAT") {
            match chunk.name {
                b"tRNS" if color < 4 => header.channels = opaque_channels + 1,
                b"eXIf" if header.exif.is_none() && chunk.is_whole() => header.exif = Some(chunk.data),
                b"PLTE" => has_palette = true,
                b"cICP" | b"iCCP" | b"sRGB" | b"gAMA" | b"cHRM" if !has_palette && chunk.is_whole() => {
                    header.color.read(chunk.name, chunk.data);
                }
                _ => {}
            }
        }
        Ok(header)
    }

    /// Bytes of a row as stored, with its filter type.
    pub(crate) fn stored_row_bytes(&self) -> u64 {
        1 + (u64::from(self.width) * u64::from(self.stored_channels) * u64::from(self.depth)).div_ceil(8)
    }

    /// Number of rows as stored: those of all passes if the image is interlaced (section 8.1).
    pub(crate) fn stored_rows(&self) -> u64 {
        /// First column and row, and distance of columns and rows, of each pass.
        const PASSES: [[u32; 4]; 7] =
            [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];
        if !self.is_interlaced {
            return self.height.into();
        }
        let rows = |[x, y, _, down]: [u32; 4]| {
            if x < self.width { u64::from(self.height.saturating_sub(y).div_ceil(down)) } else { 0 }
        };
        PASSES.into_iter().map(rows).sum()
    }

    /// Bytes of a row with all channels, of which each sample has 8 or 16 bits.
    pub(crate) fn row_bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.channels) * if self.depth > 8 { 2 } else { 1 }
    }
}

/// True if a file ends after a whole chunk that follows pixel data, so that only IEND is missing.
pub(crate) fn lacks_only_its_end(original: &[u8]) -> bool {
    let chunks = Chunks(original.get(SIGNATURE_BYTES..).unwrap_or_default());
    let last = chunks.skip_while(|chunk| chunk.name != b"IDAT").last();
    last.is_some_and(|chunk| chunk.name != b"IEND" && chunk.is_whole())
}

pub(crate) const SIGNATURE_BYTES: usize = 8;

/// A chunk. Its data is shorter than declared if the file is truncated.
pub(crate) struct Chunk<'a> {
    pub(crate) name: &'a [u8; 4],
    pub(crate) data: &'a [u8],
    /// The checksum after the data. `None` if the file is truncated.
    pub(crate) checksum: Option<u32>,
    /// Length, name, data and checksum.
    pub(crate) whole: &'a [u8],
}

impl Chunk<'_> {
    /// True if the checksum is right.
    pub(crate) fn is_whole(&self) -> bool {
        self.checksum == Some(checksum(self.name, &[self.data]))
    }
}

/// The checksum of a chunk, whose data may consist of several parts.
fn checksum(name: &[u8; 4], parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(name);
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Appends a chunk, whose data may consist of several parts, to a file.
pub(crate) fn write_chunk(file: &mut Vec<u8>, name: &[u8; 4], parts: &[&[u8]]) {
    let length = parts.iter().map(|part| part.len()).sum::<usize>();
    file.reserve_exact(length + 12);
    file.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    file.extend_from_slice(name);
    parts.iter().for_each(|part| file.extend_from_slice(part));
    file.extend_from_slice(&checksum(name, parts).to_be_bytes());
}

/// Iterates over consecutive chunks.
pub(crate) struct Chunks<'a>(&'a [u8]);

impl<'a> Chunks<'a> {
    /// The chunks after the signature.
    pub(crate) fn new(after_signature: &'a [u8]) -> Self {
        Self(after_signature)
    }

    /// The chunks of a file.
    pub(crate) fn from_file(original: &'a [u8]) -> Self {
        Self(original.get(SIGNATURE_BYTES..).unwrap_or_default())
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (data, rest) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let checksum = rest.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        let rest = rest.get(4..).unwrap_or_default();
        let whole = self.0.get(..self.0.len() - rest.len()).unwrap_or_default();
        self.0 = rest;
        Some(Chunk { name, data, checksum, whole })
    }
}
