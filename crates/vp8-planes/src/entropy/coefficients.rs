//! Reads the coefficients of a macroblock (RFC 6386, section 13), and dequantizes them (section 14.1).

use super::bool_decoder::BoolDecoder;
use super::tables::TokenProbabilities;
use crate::predict::transform::{self, WIDE, WIDE_FROM};

/// Index in the block by coding order (RFC 6386, section 13).
const ZIGZAG: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// Probability band by coding order (RFC 6386, section 13.3).
const BANDS: [usize; 16] = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7];

/// Block types in the order of [`TokenProbabilities`] (RFC 6386, section 13.3).
#[derive(Debug, Clone, Copy)]
enum BlockType {
    /// Luma without its DC coefficient, which the Y2 block contains.
    LumaWithoutDc,
    /// The DC coefficients of all luma blocks.
    Y2,
    Chroma,
    /// Luma with its DC coefficient.
    LumaWithDc,
}

/// Token probabilities of one block type, by coding order and context. The last entry is never used. It lets the reader
/// look up the next coefficient before it checks for the end of the block.
type BlockTrees = [[[u8; 11]; 3]; 17];

/// The token probabilities of a frame, expanded from bands to coding order.
#[derive(Debug)]
pub(crate) struct TokenTrees(Box<[BlockTrees; 4]>);

impl TokenTrees {
    pub(crate) fn new(probabilities: &TokenProbabilities) -> Self {
        let expand = |kind: usize| std::array::from_fn(|n| probabilities[kind][BANDS.get(n).copied().unwrap_or(0)]);
        Self(Box::new([0, 1, 2, 3].map(expand)))
    }
}

/// Quantizer steps of a block type.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Steps {
    pub(crate) dc: i32,
    pub(crate) ac: i32,
}

/// Quantizer steps of a segment (RFC 6386, section 14.1).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QuantizerSteps {
    pub(crate) luma: Steps,
    pub(crate) y2: Steps,
    pub(crate) chroma: Steps,
}

/// For the blocks along one edge of a macroblock: 1 if the block has nonzero coefficients, else 0 (RFC 6386, section
/// 13.3).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NonzeroContext {
    luma: [u8; 4],
    chroma: [[u8; 2]; 2],
    y2: u8,
}

impl NonzeroContext {
    /// Records a macroblock without coefficients. If it has no Y2 block, the preceding Y2 block remains the context.
    pub(crate) fn skip(&mut self, has_y2: bool) {
        let y2 = if has_y2 { 0 } else { self.y2 };
        *self = Self { y2, ..Self::default() };
    }
}

/// The contexts of a macroblock.
pub(crate) struct Neighbors<'n> {
    pub(crate) above: &'n mut NonzeroContext,
    pub(crate) left: &'n mut NonzeroContext,
}

/// The dequantized coefficients of a macroblock: 16 luma blocks, 4 of U and 4 of V.
#[derive(Debug)]
pub(crate) struct Residue {
    pub(crate) blocks: [[i32; 16]; 24],
    /// By block: the number of coefficients in coding order up to the last nonzero one, possibly with the flag
    /// [`WIDE`].
    pub(crate) counts: [u8; 24],
}

/// The parameters for reading the coefficients of a segment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CoefficientParameters<'p> {
    pub(crate) trees: &'p TokenTrees,
    pub(crate) steps: &'p QuantizerSteps,
}

impl Residue {
    pub(crate) fn new() -> Self {
        Self { blocks: [[0; 16]; 24], counts: [0; 24] }
    }

    /// Reads the coefficients of a macroblock. All blocks must be zero before. Returns true if any coefficient is
    /// nonzero.
    pub(crate) fn read(
        &mut self,
        bits: &mut BoolDecoder<'_>,
        parameters: CoefficientParameters<'_>,
        has_y2: bool,
        neighbors: Neighbors<'_>,
    ) -> bool {
        let CoefficientParameters { trees, steps } = parameters;
        let Neighbors { above, left } = neighbors;
        let mut kind = BlockType::LumaWithDc;
        let mut is_nonzero = false;
        if has_y2 {
            let mut y2 = [0; 16];
            let (count, _) = read_block(bits, trees.context(BlockType::Y2, above.y2 + left.y2), steps.y2, &mut y2);
            (above.y2, left.y2) = (u8::from(count > 0), u8::from(count > 0));
            if count > 0 {
                for (block, dc) in self.blocks.iter_mut().zip(transform::inverse_wht(&y2)) {
                    block[0] = dc;
                }
            }
            kind = BlockType::LumaWithoutDc;
        }
        let first = u8::from(has_y2);
        let (luma, chroma) = self.blocks.split_at_mut(16);
        let (luma_counts, chroma_counts) = self.counts.split_at_mut(16);
        let rows = luma.as_chunks_mut::<4>().0.iter_mut().zip(luma_counts.as_chunks_mut::<4>().0);
        for ((blocks, counts), left) in rows.zip(&mut left.luma) {
            for ((block, count), above) in blocks.iter_mut().zip(counts).zip(&mut above.luma) {
                let (end, wide) = read_block(bits, trees.context(kind, *above + *left), steps.luma, block);
                (*above, *left) = (u8::from(end > first), u8::from(end > first));
                *count = if end > 1 { end | wide } else { u8::from(block[0] != 0 || end > first) };
                is_nonzero |= *count > 0;
            }
        }
        let planes = chroma.as_chunks_mut::<4>().0.iter_mut().zip(chroma_counts.as_chunks_mut::<4>().0);
        for ((blocks, counts), (above, left)) in planes.zip(above.chroma.iter_mut().zip(&mut left.chroma)) {
            let rows = blocks.as_chunks_mut::<2>().0.iter_mut().zip(counts.as_chunks_mut::<2>().0);
            for ((blocks, counts), left) in rows.zip(left) {
                for ((block, count), above) in blocks.iter_mut().zip(counts).zip(above.iter_mut()) {
                    let context = trees.context(BlockType::Chroma, *above + *left);
                    let (end, wide) = read_block(bits, context, steps.chroma, block);
                    *count = if end > 1 { end | wide } else { end };
                    (*above, *left) = (u8::from(end > 0), u8::from(end > 0));
                    is_nonzero |= end > 0;
                }
            }
        }
        is_nonzero
    }
}

/// The token probabilities of a block, and the context and coding order of its first coefficient.
#[derive(Clone, Copy)]
struct BlockContext<'t> {
    trees: &'t BlockTrees,
    first: usize,
    context: u8,
}

impl TokenTrees {
    #[inline(always)]
    fn context(&self, kind: BlockType, context: u8) -> BlockContext<'_> {
        let first = usize::from(matches!(kind, BlockType::LumaWithoutDc));
        BlockContext { trees: &self.0[kind as usize], first, context }
    }
}

/// Reads a block. Returns the number of coefficients in coding order up to the last one, and [`WIDE`] or 0.
#[inline(never)]
fn read_block(
    bits: &mut BoolDecoder<'_>,
    BlockContext { trees, first, context }: BlockContext<'_>,
    steps: Steps,
    block: &mut [i32; 16],
) -> (u8, u8) {
    let mut n = first;
    let mut tree = &trees[n][usize::from(context)];
    // A local copy, which the compiler keeps in registers.
    let mut reader = *bits;
    // The union of the bits of all magnitudes.
    let mut magnitudes = 0;
    let end = loop {
        if n == 16 || !reader.read_bool(tree[0]) {
            break n;
        }
        while !reader.read_bool(tree[1]) {
            n += 1;
            if n == 16 {
                break;
            }
            tree = &trees[n][0];
        }
        if n == 16 {
            break n;
        }
        let (value, context) = if reader.read_bool(tree[2]) { (read_large(&mut reader, tree), 2) } else { (1, 1) };
        let magnitude = value * if n > 0 { steps.ac } else { steps.dc };
        magnitudes |= magnitude;
        block[usize::from(ZIGZAG[n])] = reader.read_sign(magnitude);
        n += 1;
        tree = &trees[n][context];
    };
    *bits = reader;
    (end as u8, if magnitudes < WIDE_FROM { 0 } else { WIDE })
}

/// Reads a value of at least 2 (RFC 6386, section 13.2).
#[inline(always)]
fn read_large(bits: &mut BoolDecoder<'_>, tree: &[u8; 11]) -> i32 {
    if !bits.read_bool(tree[3]) {
        if !bits.read_bool(tree[4]) {
            return 2;
        }
        return 3 + i32::from(bits.read_bool(tree[5]));
    }
    if !bits.read_bool(tree[6]) {
        if !bits.read_bool(tree[7]) {
            return 5 + i32::from(bits.read_bool(159));
        }
        return 7 + read_extra_bits(bits, &[165, 145]);
    }
    match bits.read_bool(tree[8]) {
        false if !bits.read_bool(tree[9]) => 11 + read_extra_bits(bits, &[173, 148, 140]),
        false => 19 + read_extra_bits(bits, &[176, 155, 140, 135]),
        true if !bits.read_bool(tree[10]) => 35 + read_extra_bits(bits, &[180, 157, 141, 134, 130]),
        true => 67 + read_extra_bits(bits, &[254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129]),
    }
}

/// Reads a number with one probability per bit, most significant bit first.
#[inline(always)]
fn read_extra_bits(bits: &mut BoolDecoder<'_>, probabilities: &[u8]) -> i32 {
    probabilities.iter().fold(0, |number, probability| number << 1 | i32::from(bits.read_bool(*probability)))
}
