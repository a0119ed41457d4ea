//! From planes to a baseline file with Huffman codes made for it.
//!
//! Samples are transformed and quantised once, into tokens; what the tokens are gives the codes, and the codes the bits.

use std::fmt;

use crate::decode::idct::ZIGZAG;
use crate::encode::entropy_encode::{BitWriter, Code};
use crate::encode::fdct::{AAN, forward};

mod entropy_encode;
mod fdct;

/// How large the chroma planes are beside luma.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subsampling {
    /// No chroma: one plane.
    Grey,
    /// Half of luma in both directions, rounded up.
    Half,
    /// As large as luma.
    None,
}

/// A plane to be encoded.
#[derive(Debug, Clone, Copy)]
pub struct PlaneRef<'a> {
    /// In samples.
    pub width: u32,
    /// In samples.
    pub height: u32,
    /// `width * height` samples, row by row.
    pub data: &'a [u8],
}

/// Why planes cannot be a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// A side is 0 or above 65,535.
    Size,
    /// Number or sizes of the planes do not fit the subsampling, or data are not as long as a size says.
    Planes,
    /// The quality is not from 1 to 100.
    Quality,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Size => "a side is not from 1 to 65,535",
            Self::Planes => "the planes do not fit one another",
            Self::Quality => "the quality is not from 1 to 100",
        })
    }
}

impl std::error::Error for EncodeError {}

/// Quantisers for luma and chroma at quality 50, row by row (tables K.1 and K.2).
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

/// Encodes Y, or Y, Cb and Cr, as a baseline JFIF file. `quality` is that of libjpeg, 1 to 100.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(planes: &[PlaneRef<'_>], subsampling: Subsampling, quality: u8) -> Result<Vec<u8>, EncodeError> {
    let luma = *planes.first().ok_or(EncodeError::Planes)?;
    let side = |n: u32| u16::try_from(n).ok().filter(|&n| n > 0).ok_or(EncodeError::Size);
    let (width, height) = (side(luma.width)?, side(luma.height)?);
    if !(1..=100).contains(&quality) {
        return Err(EncodeError::Quality);
    }
    let (count, chroma) = match subsampling {
        Subsampling::Grey => (1, (0, 0)),
        Subsampling::Half => (3, (luma.width.div_ceil(2), luma.height.div_ceil(2))),
        Subsampling::None => (3, (luma.width, luma.height)),
    };
    let fits = |plane: &PlaneRef<'_>| plane.data.len() as u64 == u64::from(plane.width) * u64::from(plane.height);
    let chroma_fits = planes.iter().skip(1).all(|plane| (plane.width, plane.height) == chroma);
    if planes.len() != count || !planes.iter().all(fits) || !chroma_fits {
        return Err(EncodeError::Planes);
    }
    let unit = if subsampling == Subsampling::Half { 2 } else { 1 };
    let quantizers = [0, 1].map(|n| scaled(&QUANTIZERS[n], quality));
    let tokens = Tokens::of(planes, unit, &quantizers);
    Ok(file((width, height), unit, &quantizers, &tokens, planes.len()))
}

/// Quantisers, row by row, as libjpeg scales them.
fn scaled(table: &[u8; 64], quality: u8) -> [u8; 64] {
    let quality = u32::from(quality);
    let percent = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
    table.map(|n| ((u32::from(n) * percent + 50) / 100).clamp(1, 255) as u8)
}

/// The symbols of a scan in their order, each with the bits that follow its code.
struct Tokens {
    /// Bits (16), table (8), symbol (8). Tables: DC and AC of luma, DC and AC of chroma.
    tokens: Vec<u32>,
    frequencies: [[u32; 256]; 4],
}

impl Tokens {
    fn of(planes: &[PlaneRef<'_>], unit: usize, quantizers: &[[u8; 64]; 2]) -> Self {
        let luma = planes[0];
        let samples = luma.data.len() * planes.len();
        let mut tokens = Self { tokens: Vec::with_capacity(samples / 8 + 64), frequencies: [[0; 256]; 4] };
        let factors = quantizers.map(|quantizers| {
            let factor = |x: usize, y: usize| 1.0 / (f64::from(quantizers[y * 8 + x]) * AAN[x] * AAN[y] * 8.0);
            std::array::from_fn(|x| std::array::from_fn(|y| factor(x, y) as f32))
        });
        let mut predictions = [0_i32; 3];
        let units = |side: u32| (side as usize).div_ceil(8 * unit);
        for row in 0..units(luma.height) {
            for column in 0..units(luma.width) {
                for (n, plane) in planes.iter().enumerate() {
                    let blocks = if n == 0 { unit } else { 1 };
                    for index in 0..blocks * blocks {
                        let place = (column * blocks + index % blocks, row * blocks + index / blocks);
                        let block = quantized(forward(samples_at(plane, place)), &factors[n.min(1)]);
                        tokens.push_block(&block, n.min(1) * 2, &mut predictions[n]);
                    }
                }
            }
        }
        tokens
    }

    #[inline(always)]
    fn push(&mut self, table: usize, symbol: u32, bits: u32) {
        self.frequencies[table][(symbol & 255) as usize] += 1;
        self.tokens.push((bits << 16) | ((table as u32) << 8) | symbol);
    }

    /// A block by column and row, as section F.1.2 codes it.
    #[inline(always)]
    fn push_block(&mut self, block: &[i16; 64], table: usize, prediction: &mut i32) {
        let dc = i32::from(block[0]);
        let (size, bits) = magnitude(dc - *prediction);
        *prediction = dc;
        self.push(table, size, bits);

        let mut nonzero = 0_u64;
        for (k, &place) in TRANSPOSED.iter().enumerate() {
            nonzero |= u64::from(block[usize::from(place & 63)] != 0) << k;
        }
        nonzero &= !1;
        let mut before = 0;
        while nonzero != 0 {
            let k = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            let mut run = k - before - 1;
            before = k;
            while run > 15 {
                self.push(table + 1, 0xF0, 0);
                run -= 16;
            }
            let (size, bits) = magnitude(i32::from(block[usize::from(TRANSPOSED[k as usize & 63] & 63)]));
            self.push(table + 1, (run << 4) | size, bits);
        }
        if before < 63 {
            self.push(table + 1, 0, 0);
        }
    }
}

/// [`ZIGZAG`] for blocks by column and row.
const TRANSPOSED: [u8; 64] = {
    let mut places = [0; 64];
    let mut k = 0;
    while k < 64 {
        places[k] = ZIGZAG[k] % 8 * 8 + ZIGZAG[k] / 8;
        k += 1;
    }
    places
};

/// The size of a value, and its bits: a negative one's are those of one less (section F.1.2.1).
#[inline(always)]
fn magnitude(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
    (size, bits)
}

/// The block's samples, less 128; what lies outside of the plane repeats its last column and row.
#[inline(always)]
fn samples_at(plane: &PlaneRef<'_>, (column, row): (usize, usize)) -> [[f32; 8]; 8] {
    let (width, height) = (plane.width as usize, plane.height as usize);
    let x = column * 8;
    std::array::from_fn(|y| {
        let start = (row * 8 + y).min(height - 1) * width;
        let line = &plane.data[start..start + width];
        match line.get(x..).and_then(<[u8]>::first_chunk::<8>) {
            Some(samples) => samples.map(|sample| f32::from(sample) - 128.0),
            None => std::array::from_fn(|n| f32::from(line[(x + n).min(width - 1)]) - 128.0),
        }
    })
}

/// Rounded to nearest: adding 1.5 * 2^23 leaves the integer in the lowest bits.
#[inline(always)]
fn quantized(coefficients: [[f32; 8]; 8], factors: &[[f32; 8]; 8]) -> [i16; 64] {
    const SHIFT: f32 = 12_582_912.0;
    let mut block = [0; 64];
    for (places, (column, factors)) in block.as_chunks_mut::<8>().0.iter_mut().zip(coefficients.iter().zip(factors)) {
        *places = std::array::from_fn(|y| {
            ((column[y] * factors[y] + SHIFT).to_bits() as i32 - SHIFT.to_bits() as i32) as i16
        });
    }
    block
}

fn file(size: (u16, u16), unit: usize, quantizers: &[[u8; 64]; 2], tokens: &Tokens, planes: usize) -> Vec<u8> {
    let codes = tokens.frequencies.each_ref().map(Code::best);
    let mut bytes = Vec::with_capacity(tokens.tokens.len() + 1024);
    bytes.extend_from_slice(&[0xFF, 0xD8]);
    segment(&mut bytes, 0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    let kinds = planes.min(2);
    for (n, table) in quantizers.iter().enumerate().take(kinds) {
        let zigzag = ZIGZAG.map(|place| table[usize::from(place)]);
        segment(&mut bytes, 0xDB, &[&[n as u8][..], &zigzag].concat());
    }
    let [(w1, w0), (h1, h0)] = [size.0, size.1].map(|side| ((side >> 8) as u8, side as u8));
    let mut frame = vec![8, h1, h0, w1, w0, planes as u8];
    let mut scan = vec![planes as u8];
    for n in 0..planes as u8 {
        let sampling = if n == 0 { unit as u8 * 0x11 } else { 0x11 };
        frame.extend([n + 1, sampling, n.min(1)]);
        scan.extend([n + 1, n.min(1) * 0x11]);
    }
    scan.extend([0, 63, 0]);
    segment(&mut bytes, 0xC0, &frame);
    for (n, code) in codes.iter().enumerate().take(2 * kinds) {
        let destination = ((n & 1) << 4 | n >> 1) as u8;
        segment(&mut bytes, 0xC4, &[&[destination][..], &code.counts, &code.symbols].concat());
    }
    segment(&mut bytes, 0xDA, &scan);
    let mut writer = BitWriter::new(bytes);
    for &token in &tokens.tokens {
        let symbol = (token & 0xFF) as usize;
        let (code, length) = codes[(token >> 8) as usize & 3].codes[symbol];
        // A DC symbol is a size of at most 11, so its low half says as much as an AC symbol's.
        let size = symbol as u32 & 15;
        writer.put((u32::from(code) << size) | (token >> 16), u32::from(length) + size);
    }
    let mut bytes = writer.finish();
    bytes.extend_from_slice(&[0xFF, 0xD9]);
    bytes
}

fn segment(bytes: &mut Vec<u8>, marker: u8, body: &[u8]) {
    bytes.extend_from_slice(&[0xFF, marker]);
    bytes.extend_from_slice(&((body.len() + 2) as u16).to_be_bytes());
    bytes.extend_from_slice(body);
}
