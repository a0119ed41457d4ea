//! Encodes planes as a baseline file with Huffman codes optimized for its content.
//!
//! The planes are transformed and quantized once, into a list of symbols. The symbol frequencies determine the Huffman
//! codes, which then code the list.

use std::fmt;

use planes::PlaneRef;

use crate::dct::ZIGZAG;
use crate::marker;
use entropy_encode::{BitWriter, HuffmanCode};
use symbols::SymbolList;

mod entropy_encode;
mod fdct;
mod symbols;

/// The number of planes and the size of the chroma planes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaneLayout {
    /// One luma plane.
    Gray,
    /// Y, Cb and Cr. Chroma has half the width and half the height of luma, both rounded up.
    YCbCr420,
    /// Y, Cb and Cr of equal size.
    YCbCr444,
}

/// The reason why planes cannot be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// Width or height is 0 or above 65,535.
    Size,
    /// The number or the sizes of the planes do not match the layout, or a plane has the wrong amount of data.
    Planes,
    /// The quality is not in 1 to 100.
    Quality,
    /// `should_continue` returned false.
    Cancelled,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "width and height must be in 1 to 65,535",
            Self::Planes => "the planes do not match the layout",
            Self::Quality => "the quality must be in 1 to 100",
            Self::Cancelled => "encoding was cancelled",
        })
    }
}

impl std::error::Error for EncodeError {}

/// Quantizers of luma and chroma at quality 50, row by row (ITU-T T.81, tables K.1 and K.2).
#[rustfmt::skip]
const QUANTIZERS: [[u8; 64]; 2] = [
    [
        16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
        18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
    ],
    [
        17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
        99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
    ],
];

/// Encodes the planes as a baseline JFIF file. `quality` has the scale of libjpeg, 1 to 100.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(planes: &[PlaneRef<'_>], layout: PlaneLayout, quality: u8) -> Result<Vec<u8>, EncodeError> {
    encode_while(planes, layout, quality, &|| true)
}

/// Like [`encode`]. `should_continue` is called for each row of minimum coded units.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode_while(
    planes: &[PlaneRef<'_>],
    layout: PlaneLayout,
    quality: u8,
    should_continue: &dyn Fn() -> bool,
) -> Result<Vec<u8>, EncodeError> {
    let luma = *planes.first().ok_or(EncodeError::Planes)?;
    let side = |n: u32| u16::try_from(n).ok().filter(|&n| n > 0).ok_or(EncodeError::Size);
    let (width, height) = (side(luma.width)?, side(luma.height)?);
    if !(1..=100).contains(&quality) {
        return Err(EncodeError::Quality);
    }
    let (count, chroma) = match layout {
        PlaneLayout::Gray => (1, (0, 0)),
        PlaneLayout::YCbCr420 => (3, (luma.width.div_ceil(2), luma.height.div_ceil(2))),
        PlaneLayout::YCbCr444 => (3, (luma.width, luma.height)),
    };
    let is_complete =
        |plane: &PlaneRef<'_>| plane.data.len() as u64 == u64::from(plane.width) * u64::from(plane.height);
    let chroma_matches = planes.iter().skip(1).all(|plane| (plane.width, plane.height) == chroma);
    if planes.len() != count || !planes.iter().all(is_complete) || !chroma_matches {
        return Err(EncodeError::Planes);
    }
    let luma_blocks = if layout == PlaneLayout::YCbCr420 { 2 } else { 1 };
    let quantizers = [0, 1].map(|n| scale_quantizers(&QUANTIZERS[n], quality));
    let symbols = SymbolList::new(planes, luma_blocks, &quantizers, should_continue).ok_or(EncodeError::Cancelled)?;
    let frame = FrameParameters { width, height, planes: count, luma_blocks, quantizers };
    Ok(frame.write(&symbols))
}

/// Scales quantizers to a quality as libjpeg does (`jpeg_quality_scaling`).
fn scale_quantizers(table: &[u8; 64], quality: u8) -> [u8; 64] {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    table.map(|n| ((u32::from(n) * percent + 50) / 100).clamp(1, 255) as u8)
}

/// The parameters in the header segments of the file.
struct FrameParameters {
    width: u16,
    height: u16,
    planes: usize,
    /// Luma blocks per minimum coded unit in each direction.
    luma_blocks: usize,
    /// Quantizers of luma and chroma, row by row.
    quantizers: [[u8; 64]; 2],
}

impl FrameParameters {
    /// Writes the whole file (ITU-T T.81, section B.2).
    fn write(&self, symbols: &SymbolList) -> Vec<u8> {
        let codes = symbols.frequencies.each_ref().map(HuffmanCode::optimal);
        let mut bytes = Vec::with_capacity(symbols.len() + 1024);
        bytes.extend_from_slice(&[0xFF, marker::SOI]);
        write_segment(&mut bytes, marker::APP0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
        let table_count = self.planes.min(2);
        for (n, table) in self.quantizers.iter().enumerate().take(table_count) {
            let zigzag = ZIGZAG.map(|index| table[usize::from(index)]);
            write_segment(&mut bytes, marker::DQT, &[&[n as u8][..], &zigzag].concat());
        }
        let (height, width) = (self.height.to_be_bytes(), self.width.to_be_bytes());
        let mut frame = vec![8, height[0], height[1], width[0], width[1], self.planes as u8];
        let mut scan = vec![self.planes as u8];
        for n in 0..self.planes as u8 {
            let sampling = if n == 0 { self.luma_blocks as u8 * 0x11 } else { 0x11 };
            frame.extend([n + 1, sampling, n.min(1)]);
            scan.extend([n + 1, n.min(1) * 0x11]);
        }
        scan.extend([0, 63, 0]);
        write_segment(&mut bytes, marker::SOF0, &frame);
        for (n, code) in codes.iter().enumerate().take(2 * table_count) {
            let destination = ((n & 1) << 4 | n >> 1) as u8;
            write_segment(&mut bytes, marker::DHT, &[&[destination][..], &code.counts, &code.symbols].concat());
        }
        write_segment(&mut bytes, marker::SOS, &scan);
        let mut writer = BitWriter::new(bytes);
        symbols.write(&codes, &mut writer);
        let mut bytes = writer.finish();
        bytes.extend_from_slice(&[0xFF, marker::EOI]);
        bytes
    }
}

fn write_segment(bytes: &mut Vec<u8>, marker: u8, body: &[u8]) {
    bytes.extend_from_slice(&[0xFF, marker]);
    bytes.extend_from_slice(&((body.len() + 2) as u16).to_be_bytes());
    bytes.extend_from_slice(body);
}
