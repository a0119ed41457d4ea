//! The scans of sequential and progressive files (ITU-T T.81, annexes F.1 and G.1).

use super::coefficients::{Block, Coefficients};
use super::sink::Sink;
use super::symbols::value_bits;

/// A scan of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    /// All coefficients of all components: the only scan of a sequential file.
    Sequential,
    /// The DC coefficients of all components.
    Dc(Bits),
    /// The AC coefficients `first` to `last`, by zigzag index, of one component.
    Ac { component: usize, first: u8, last: u8, bits: Bits },
}

/// The bits of the coefficients that a progressive scan codes (successive approximation).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bits {
    /// All bits but the lowest `low`.
    First { low: u8 },
    /// Only bit `low`. Earlier scans coded the higher ones.
    Refinement { low: u8 },
}

/// Maximum number of correction bits that are kept until the end of a run of blocks. Longer runs are split.
const CORRECTIONS_MAX: usize = 960;
/// Maximum length of a run of blocks without further coefficients.
const RUN_MAX: u32 = 0x7FFF;

impl Scan {
    /// Passes the symbols of the scan to `sink`. `None` if `should_continue` returned false before a row.
    pub(super) fn code<S: Sink>(
        self,
        coefficients: &Coefficients,
        should_continue: &dyn Fn() -> bool,
        sink: &mut S,
    ) -> Option<()> {
        match self {
            Self::Sequential => {
                let mut predictions = [0; 3];
                coefficients.interleaved(should_continue, |n, block| {
                    dc_difference(i32::from(block[0]), n, &mut predictions, sink);
                    sequential_block(block, table(n) + 1, sink);
                })
            }
            Self::Dc(Bits::First { low }) => {
                let mut predictions = [0; 3];
                coefficients.interleaved(should_continue, |n, block| {
                    dc_difference(i32::from(block[0] >> low), n, &mut predictions, sink);
                })
            }
            Self::Dc(Bits::Refinement { low }) => coefficients
                .interleaved(should_continue, |_, block| sink.bits(u32::from((block[0] >> low) as u16 & 1), 1)),
            Self::Ac { component, first, last, bits } => {
                let mut coder =
                    AcCoder { table: table(component) + 1, first, last, run: 0, corrections: Vec::new(), sink };
                let blocks = &coefficients.components[component];
                match bits {
                    Bits::First { low } => blocks.alone(should_continue, |block| coder.first(block, low))?,
                    Bits::Refinement { low } => blocks.alone(should_continue, |block| coder.refine(block, low))?,
                }
                coder.end_run();
                Some(())
            }
        }
    }
}

/// The DC table of a component. Its AC table is the next one.
const fn table(component: usize) -> usize {
    if component == 0 { 0 } else { 2 }
}

#[inline(always)]
fn dc_difference<S: Sink>(dc: i32, component: usize, predictions: &mut [i32; 3], sink: &mut S) {
    let (size, bits) = value_bits(dc - predictions[component]);
    predictions[component] = dc;
    sink.symbol(table(component), size, bits, size);
}

/// Bit `k` is set if the magnitude of coefficient `k`, shifted right by `low`, is not zero, for `first..=last`.
#[inline(always)]
fn nonzero_bits(block: &Block, first: u8, last: u8, low: u8) -> u64 {
    let mut nonzero = 0_u64;
    for (k, &value) in block.iter().enumerate() {
        nonzero |= u64::from(value.unsigned_abs() >> low != 0) << k;
    }
    nonzero & (u64::MAX << first) & (u64::MAX >> (63 - last))
}

#[inline(always)]
fn sequential_block<S: Sink>(block: &Block, table: usize, sink: &mut S) {
    let mut nonzero = nonzero_bits(block, 1, 63, 0);
    let mut previous = 0;
    while nonzero != 0 {
        let k = nonzero.trailing_zeros();
        nonzero &= nonzero - 1;
        let mut run = k - previous - 1;
        previous = k;
        while run > 15 {
            sink.symbol(table, 0xF0, 0, 0);
            run -= 16;
        }
        let (size, bits) = value_bits(i32::from(block[k as usize & 63]));
        sink.symbol(table, (run << 4) | size, bits, size);
    }
    if previous < 63 {
        sink.symbol(table, 0, 0, 0);
    }
}

/// Codes the AC coefficients of one component.
struct AcCoder<'a, S> {
    table: usize,
    first: u8,
    last: u8,
    /// Number of blocks that ended since the last symbol.
    run: u32,
    /// The correction bits of those blocks.
    corrections: Vec<u8>,
    sink: &'a mut S,
}

impl<S: Sink> AcCoder<'_, S> {
    /// Codes the run of ended blocks, and then their correction bits (EOBn in ITU-T T.81, section G.1.2.2).
    fn end_run(&mut self) {
        if self.run > 0 {
            let size = self.run.ilog2();
            self.sink.symbol(self.table, size << 4, self.run - (1 << size), size);
            self.run = 0;
        }
        for bit in self.corrections.drain(..) {
            self.sink.bits(u32::from(bit), 1);
        }
    }

    fn add_to_run(&mut self) {
        self.run += 1;
        if self.run == RUN_MAX || self.corrections.len() > CORRECTIONS_MAX {
            self.end_run();
        }
    }

    /// Section G.1.2.2.
    #[inline(always)]
    fn first(&mut self, block: &Block, low: u8) {
        let mut nonzero = nonzero_bits(block, self.first, self.last, low);
        let mut next = u32::from(self.first);
        if nonzero != 0 {
            self.end_run();
        }
        while nonzero != 0 {
            let k = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            let mut zeros = k - next;
            next = k + 1;
            while zeros > 15 {
                self.sink.symbol(self.table, 0xF0, 0, 0);
                zeros -= 16;
            }
            let value = i32::from(block[k as usize & 63]);
            // Rounds toward zero, unlike a shift of the value.
            let (size, bits) = value_bits((value.abs() >> low) * value.signum());
            self.sink.symbol(self.table, (zeros << 4) | size, bits, size);
        }
        if next <= u32::from(self.last) {
            self.add_to_run();
        }
    }

    /// Section G.1.2.3. Coefficients that were nonzero before get a correction bit, which follows the next symbol.
    #[inline(always)]
    fn refine(&mut self, block: &Block, low: u8) {
        let mut nonzero = nonzero_bits(block, self.first, self.last, low);
        // Coefficients that become nonzero in this scan.
        let new = nonzero & !nonzero_bits(block, self.first, self.last, low + 1);
        let last_new = 63_u32.saturating_sub(new.leading_zeros());
        // Correction bits of this block that follow its next symbol.
        let mut pending = [0; 64];
        let mut count = 0;
        let mut zeros = 0;
        let mut next = u32::from(self.first);
        while nonzero != 0 {
            let k = nonzero.trailing_zeros();
            nonzero &= nonzero - 1;
            zeros += k - next;
            next = k + 1;
            while zeros > 15 && k <= last_new {
                self.end_run();
                self.sink.symbol(self.table, 0xF0, 0, 0);
                self.correct(&pending[..count]);
                count = 0;
                zeros -= 16;
            }
            let value = block[k as usize & 63];
            if new >> k & 1 == 0 {
                pending[count & 63] = (value.unsigned_abs() >> low) as u8 & 1;
                count += 1;
                continue;
            }
            self.end_run();
            self.sink.symbol(self.table, (zeros << 4) | 1, u32::from(value > 0), 1);
            self.correct(&pending[..count]);
            (count, zeros) = (0, 0);
        }
        if zeros > 0 || count > 0 || next <= u32::from(self.last) {
            self.corrections.extend_from_slice(&pending[..count]);
            self.add_to_run();
        }
    }

    #[inline(always)]
    fn correct(&mut self, bits: &[u8]) {
        bits.iter().for_each(|&bit| self.sink.bits(u32::from(bit), 1));
    }
}
