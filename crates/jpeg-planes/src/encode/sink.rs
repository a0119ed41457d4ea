//! Receivers of the symbols of a scan: one counts them, the other writes them.

use super::entropy_encode::{BitWriter, HuffmanCode};

/// Number of Huffman tables that a scan can use: luma DC, luma AC, chroma DC and chroma AC.
pub(super) const TABLES: usize = 4;

/// Receives the symbols of a scan in coding order.
pub(super) trait Sink {
    /// Appends a symbol of a table and the `count` lowest bits of `bits`, at most 16. The other bits must be zero.
    fn symbol(&mut self, table: usize, symbol: u32, bits: u32, count: u32);

    /// Appends `count` bits, at most 32, without a symbol. The other bits must be zero.
    fn bits(&mut self, bits: u32, count: u32);
}

/// Counts symbols and bits.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    /// Number of occurrences by table and symbol.
    pub(super) frequencies: [[u32; 256]; TABLES],
    /// Bits that are not part of a Huffman code.
    raw_bits: u64,
}

impl Counter {
    pub(super) fn new() -> Self {
        Self { frequencies: [[0; 256]; TABLES], raw_bits: 0 }
    }

    /// Bytes of the entropy-coded data with these codes, without stuffing.
    pub(super) fn bytes(&self, codes: &[HuffmanCode; TABLES]) -> u64 {
        let table_bits = |(frequencies, code): (&[u32; 256], &HuffmanCode)| -> u64 {
            frequencies.iter().zip(&code.codes).map(|(&n, &(_, length))| u64::from(n) * u64::from(length)).sum()
        };
        let bits = self.raw_bits + self.frequencies.iter().zip(codes).map(table_bits).sum::<u64>();
        bits.div_ceil(8)
    }
}

impl Sink for Counter {
    #[inline(always)]
    fn symbol(&mut self, table: usize, symbol: u32, _bits: u32, count: u32) {
        self.frequencies[table & 3][(symbol & 255) as usize] += 1;
        self.raw_bits += u64::from(count);
    }

    #[inline(always)]
    fn bits(&mut self, _bits: u32, count: u32) {
        self.raw_bits += u64::from(count);
    }
}

/// Writes the symbols with the codes of their tables.
#[derive(Debug)]
pub(super) struct CodeWriter<'a> {
    pub(super) codes: &'a [HuffmanCode; TABLES],
    pub(super) writer: BitWriter,
}

impl Sink for CodeWriter<'_> {
    #[inline(always)]
    fn symbol(&mut self, table: usize, symbol: u32, bits: u32, count: u32) {
        let (code, length) = self.codes[table & 3].codes[(symbol & 255) as usize];
        self.writer.put((u32::from(code) << count) | bits, u32::from(length) + count);
    }

    #[inline(always)]
    fn bits(&mut self, bits: u32, count: u32) {
        self.writer.put(bits, count);
    }
}
