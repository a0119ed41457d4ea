//! Transforms and quantizes planes into the symbols of a baseline scan (ITU-T T.81, section F.1.2).

use planes::PlaneRef;

use super::entropy_encode::{BitWriter, HuffmanCode};
use super::fdct::forward_dct;
use crate::dct::{AAN_SCALE, LEVEL_SHIFT, ZIGZAG};

/// The symbols of an interleaved scan in coding order, with the value bits that follow each of them.
pub(super) struct SymbolList {
    /// From the top: value bits (16), table (8), symbol (8). The tables are luma DC, luma AC, chroma DC and chroma AC.
    symbols: Vec<u32>,
    /// Number of occurrences by table and symbol.
    pub(super) frequencies: [[u32; 256]; 4],
}

impl SymbolList {
    /// `luma_blocks` is the number of luma blocks per minimum coded unit in each direction. `quantizers` are row by
    /// row. `None` if `should_continue` returned false before a row of units.
    pub(super) fn new(
        planes: &[PlaneRef<'_>],
        luma_blocks: usize,
        quantizers: &[[u8; 64]; 2],
        should_continue: &dyn Fn() -> bool,
    ) -> Option<Self> {
        let luma = planes[0];
        let samples = luma.data.len() * planes.len();
        let mut list = Self { symbols: Vec::with_capacity(samples / 8 + 64), frequencies: [[0; 256]; 4] };
        let factors = quantizers.each_ref().map(factors);
        let mut predictions = [0_i32; 3];
        let units = |side: u32| (side as usize).div_ceil(8 * luma_blocks);
        for row in 0..units(luma.height) {
            if !should_continue() {
                return None;
            }
            for column in 0..units(luma.width) {
                for (n, plane) in planes.iter().enumerate() {
                    let blocks = if n == 0 { luma_blocks } else { 1 };
                    for index in 0..blocks * blocks {
                        let (x, y) = (column * blocks + index % blocks, row * blocks + index / blocks);
                        let block = quantize(forward_dct(block_samples(plane, x, y)), &factors[n.min(1)]);
                        list.push_block(&block, n.min(1) * 2, &mut predictions[n]);
                    }
                }
            }
        }
        Some(list)
    }

    /// Number of symbols.
    pub(super) fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Writes the entropy-coded data of the scan.
    pub(super) fn write(&self, codes: &[HuffmanCode; 4], writer: &mut BitWriter) {
        for &entry in &self.symbols {
            let symbol = (entry & 0xFF) as usize;
            let (code, length) = codes[(entry >> 8) as usize & 3].codes[symbol];
            // The low four bits of a symbol are the number of value bits. A DC symbol is at most 11, so the mask keeps
            // it unchanged.
            let size = symbol as u32 & 15;
            writer.put((u32::from(code) << size) | (entry >> 16), u32::from(length) + size);
        }
    }

    #[inline(always)]
    fn push(&mut self, table: usize, symbol: u32, bits: u32) {
        self.frequencies[table][(symbol & 255) as usize] += 1;
        self.symbols.push((bits << 16) | ((table as u32) << 8) | symbol);
    }

    /// Appends the symbols of a column-major block.
    #[inline(always)]
    fn push_block(&mut self, block: &[i16; 64], table: usize, prediction: &mut i32) {
        let dc = i32::from(block[0]);
        let (size, bits) = value_bits(dc - *prediction);
        *prediction = dc;
        self.push(table, size, bits);

        let mut nonzero = 0_u64;
        for (k, &index) in COLUMN_MAJOR_ZIGZAG.iter().enumerate() {
            nonzero |= u64::from(block[usize::from(index & 63)] != 0) << k;
        }
        nonzero &= !1;
        let mut previous = 0;
        while nonzero != 0 {
            let k = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            let mut run = k - previous - 1;
            previous = k;
            while run > 15 {
                self.push(table + 1, 0xF0, 0);
                run -= 16;
            }
            let (size, bits) = value_bits(i32::from(block[usize::from(COLUMN_MAJOR_ZIGZAG[k as usize & 63] & 63)]));
            self.push(table + 1, (run << 4) | size, bits);
        }
        if previous < 63 {
            self.push(table + 1, 0, 0);
        }
    }
}

/// The factors, as `[column][row]`, that quantize the result of [`forward_dct`]. `quantizers` are row by row.
pub(super) fn factors(quantizers: &[u8; 64]) -> [[f32; 8]; 8] {
    let factor = |x: usize, y: usize| 1.0 / (f64::from(quantizers[y * 8 + x]) * AAN_SCALE[x] * AAN_SCALE[y] * 8.0);
    std::array::from_fn(|x| std::array::from_fn(|y| factor(x, y) as f32))
}

/// [`ZIGZAG`] for column-major blocks.
pub(super) const COLUMN_MAJOR_ZIGZAG: [u8; 64] = {
    let mut indices = [0; 64];
    let mut k = 0;
    while k < 64 {
        indices[k] = ZIGZAG[k] % 8 * 8 + ZIGZAG[k] / 8;
        k += 1;
    }
    indices
};

/// Bit length of a value, and its bits. A negative value is coded as the bits of `value - 1` (ITU-T T.81, section
/// F.1.2.1).
#[inline(always)]
pub(super) fn value_bits(value: i32) -> (u32, u32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    let bits = (value + (value >> 31)) as u32 & ((1 << size) - 1);
    (size, bits)
}

/// The level-shifted samples of the block at `column` and `row`. Beyond the plane, its last column and row are
/// repeated.
#[inline(always)]
pub(super) fn block_samples(plane: &PlaneRef<'_>, column: usize, row: usize) -> [[f32; 8]; 8] {
    const SHIFT: f32 = LEVEL_SHIFT as f32;
    let (width, height) = (plane.width as usize, plane.height as usize);
    let x = column * 8;
    std::array::from_fn(|y| {
        let start = (row * 8 + y).min(height - 1) * width;
        let line = &plane.data[start..start + width];
        match line.get(x..).and_then(<[u8]>::first_chunk::<8>) {
            Some(samples) => samples.map(|sample| f32::from(sample) - SHIFT),
            None => std::array::from_fn(|n| f32::from(line[(x + n).min(width - 1)]) - SHIFT),
        }
    })
}

/// Multiplies by the factors and rounds to nearest: adding 1.5 * 2^23 leaves the integer in the lowest bits.
#[inline(always)]
pub(super) fn quantize(coefficients: [[f32; 8]; 8], factors: &[[f32; 8]; 8]) -> [i16; 64] {
    const MAGIC: f32 = 12_582_912.0;
    let mut block = [0; 64];
    for (target, (column, factors)) in block.as_chunks_mut::<8>().0.iter_mut().zip(coefficients.iter().zip(factors)) {
        *target = std::array::from_fn(|y| {
            ((column[y] * factors[y] + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32) as i16
        });
    }
    block
}
