//! The coefficients of a macroblock (RFC 6386 section 13), dequantized as they are read (section 14.1).

use crate::entropy::bool_decoder::Bools;
use crate::entropy::tables::Probabilities;
use crate::header::Steps;
use crate::predict::transform::{self, WIDE, WIDE_FROM};

/// Where the coefficients lie that come one after the other (section 13).
const ZIGZAG: [u8; 16] = [0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15];

/// Which probabilities coefficients have by their places (section 13.3).
const BANDS: [usize; 16] = [0, 1, 2, 3, 6, 4, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7];

/// Kinds of blocks, in the order of their probabilities (section 13.3).
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Luma whose DC is in a block of its own.
    WithoutDc,
    /// The DCs of luma.
    Dcs,
    Chroma,
    /// Luma with its DC.
    Whole,
}

/// The probabilities of one kind: by place, of which there is one too many so that none is looked up behind the end, and by
/// context.
type Places = [[[u8; 11]; 3]; 17];

/// The probabilities by place rather than by band.
#[derive(Debug)]
pub(crate) struct Trees(Box<[Places; 4]>);

impl Trees {
    pub(crate) fn new(probabilities: &Probabilities) -> Self {
        let places = |kind: usize| std::array::from_fn(|n| probabilities[kind][BANDS.get(n).copied().unwrap_or(0)]);
        Self(Box::new([0, 1, 2, 3].map(places)))
    }
}

/// Which blocks beside the next one have coefficients: four of luma, two of each chroma, and the DCs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Neighbours {
    luma: [u8; 4],
    chroma: [[u8; 2]; 2],
    dcs: u8,
}

impl Neighbours {
    /// A macroblock without coefficients; one that has no block of DCs leaves what was there.
    pub(crate) fn skip(&mut self, has_dcs: bool) {
        let dcs = if has_dcs { 0 } else { self.dcs };
        *self = Self { dcs, ..Self::default() };
    }
}

/// The coefficients of a macroblock: 16 blocks of luma, 4 of U, 4 of V.
#[derive(Debug)]
pub(crate) struct Residue {
    pub(crate) blocks: [[i32; 16]; 24],
    /// For each block how many coefficients may be other than 0, in the order in which they come, and whether it is [`WIDE`].
    pub(crate) counts: [u8; 24],
}

impl Residue {
    pub(crate) fn new() -> Self {
        Self { blocks: [[0; 16]; 24], counts: [0; 24] }
    }

    /// Reads a macroblock, whose blocks have to be 0, and says whether any of them has coefficients.
    pub(crate) fn read(
        &mut self,
        bools: &mut Bools<'_>,
        trees: &Trees,
        steps: &Steps,
        has_dcs: bool,
        (above, left): (&mut Neighbours, &mut Neighbours),
    ) -> bool {
        let mut kind = Kind::Whole;
        let mut has_any = false;
        if has_dcs {
            let mut dcs = [0; 16];
            let (count, _) = read(bools, trees, Kind::Dcs, above.dcs + left.dcs, steps.dcs, &mut dcs);
            (above.dcs, left.dcs) = (u8::from(count > 0), u8::from(count > 0));
            if count > 0 {
                for (block, dc) in self.blocks.iter_mut().zip(transform::dcs(&dcs)) {
                    block[0] = dc;
                }
            }
            kind = Kind::WithoutDc;
        }
        let first = u8::from(has_dcs);
        let (luma, chroma) = self.blocks.split_at_mut(16);
        let (luma_counts, chroma_counts) = self.counts.split_at_mut(16);
        let rows = luma.as_chunks_mut::<4>().0.iter_mut().zip(luma_counts.as_chunks_mut::<4>().0);
        for ((blocks, counts), left) in rows.zip(&mut left.luma) {
            for ((block, count), above) in blocks.iter_mut().zip(counts).zip(&mut above.luma) {
                let (end, wide) = read(bools, trees, kind, *above + *left, steps.luma, block);
                (*above, *left) = (u8::from(end > first), u8::from(end > first));
                *count = if end > 1 { end | wide } else { u8::from(block[0] != 0 || end > first) };
                has_any |= *count > 0;
            }
        }
        let planes = chroma.as_chunks_mut::<4>().0.iter_mut().zip(chroma_counts.as_chunks_mut::<4>().0);
        for ((blocks, counts), (above, left)) in planes.zip(above.chroma.iter_mut().zip(&mut left.chroma)) {
            let rows = blocks.as_chunks_mut::<2>().0.iter_mut().zip(counts.as_chunks_mut::<2>().0);
            for ((blocks, counts), left) in rows.zip(left) {
                for ((block, count), above) in blocks.iter_mut().zip(counts).zip(above.iter_mut()) {
                    let (end, wide) = read(bools, trees, Kind::Chroma, *above + *left, steps.chroma, block);
                    *count = if end > 1 { end | wide } else { end };
                    (*above, *left) = (u8::from(end > 0), u8::from(end > 0));
                    has_any |= end > 0;
                }
            }
        }
        has_any
    }
}

/// Reads a block and says where its last coefficient ends, in the order in which they come, and whether it is [`WIDE`].
#[inline(never)]
fn read(
    bools: &mut Bools<'_>,
    trees: &Trees,
    kind: Kind,
    context: u8,
    steps: [i32; 2],
    block: &mut [i32; 16],
) -> (u8, u8) {
    let places = &trees.0[kind as usize];
    let mut n = usize::from(matches!(kind, Kind::WithoutDc));
    let mut tree = &places[n][usize::from(context)];
    // A copy, which the compiler keeps in registers.
    let mut reader = *bools;
    // All bits of all magnitudes.
    let mut bits = 0;
    let end = loop {
        if n == 16 || !reader.bit(tree[0]) {
            break n;
        }
        while !reader.bit(tree[1]) {
            n += 1;
            if n == 16 {
                break;
            }
            tree = &places[n][0];
        }
        if n == 16 {
            break n;
        }
        let (value, context) = if reader.bit(tree[2]) { (large(&mut reader, tree), 2) } else { (1, 1) };
        let magnitude = value * steps[usize::from(n > 0)];
        bits |= magnitude;
        block[usize::from(ZIGZAG[n])] = reader.signed(magnitude);
        n += 1;
        tree = &places[n][context];
    };
    *bools = reader;
    (end as u8, if bits < WIDE_FROM { 0 } else { WIDE })
}

/// A value of two or more (sections 13.1 and 13.2).
#[inline(always)]
fn large(bools: &mut Bools<'_>, tree: &[u8; 11]) -> i32 {
    if !bools.bit(tree[3]) {
        if !bools.bit(tree[4]) {
            return 2;
        }
        return 3 + i32::from(bools.bit(tree[5]));
    }
    if !bools.bit(tree[6]) {
        if !bools.bit(tree[7]) {
            return 5 + i32::from(bools.bit(159));
        }
        return 7 + more(bools, &[165, 145]);
    }
    match bools.bit(tree[8]) {
        false if !bools.bit(tree[9]) => 11 + more(bools, &[173, 148, 140]),
        false => 19 + more(bools, &[176, 155, 140, 135]),
        true if !bools.bit(tree[10]) => 35 + more(bools, &[180, 157, 141, 134, 130]),
        true => 67 + more(bools, &[254, 254, 243, 230, 196, 177, 153, 140, 133, 130, 129]),
    }
}

/// The bits of a number, the highest first.
#[inline(always)]
fn more(bools: &mut Bools<'_>, probabilities: &[u8]) -> i32 {
    probabilities.iter().fold(0, |number, probability| number << 1 | i32::from(bools.bit(*probability)))
}
