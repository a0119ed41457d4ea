//! Predicts a macroblock and adds its residue.

use super::intra::{AvailableNeighbors, Subblock, predict_square, predict_subblock};
use super::transform::inverse_dct;
use crate::entropy::coefficients::Residue;
use crate::macroblock::{LumaPrediction, Macroblock, SubblockMode};
use crate::samples::{BlockAddress, load, store};
use crate::strip::Strip;

/// Reconstructs the macroblock at column `x` and row `y`, and resets its residue to zero.
pub(crate) fn reconstruct(strips: &mut [Strip; 3], x: usize, y: usize, macroblock: &Macroblock, residue: &mut Residue) {
    let neighbors = AvailableNeighbors { above: y > 0, left: x > 0 };
    let [luma, chroma @ ..] = strips;
    let address = luma.macroblock(x);
    let has_residue = macroblock.has_coefficients;
    let (luma_blocks, chroma_blocks) = residue.blocks.split_at_mut(16);
    let (luma_counts, chroma_counts) = residue.counts.split_at(16);
    match &macroblock.luma {
        LumaPrediction::Whole(mode) => {
            predict_square::<16>(&mut luma.samples, address, *mode, neighbors);
            if has_residue {
                for (n, (block, count)) in luma_blocks.iter_mut().zip(luma_counts).enumerate() {
                    add_residue(&mut luma.samples, address.subblock(n % 4, n / 4), block, *count);
                }
            }
        }
        LumaPrediction::Subblocks(modes) => {
            let residue = has_residue.then_some(LumaResidue { blocks: luma_blocks, counts: luma_counts });
            reconstruct_subblocks(luma, address, modes, residue);
        }
    }
    let planes = chroma.iter_mut().zip(chroma_blocks.as_chunks_mut::<4>().0).zip(chroma_counts.as_chunks::<4>().0);
    for ((strip, blocks), counts) in planes {
        let address = strip.macroblock(x);
        predict_square::<8>(&mut strip.samples, address, macroblock.chroma, neighbors);
        if has_residue {
            for (n, (block, count)) in blocks.iter_mut().zip(counts).enumerate() {
                add_residue(&mut strip.samples, address.subblock(n % 2, n / 2), block, *count);
            }
        }
    }
}

/// The residue of the 16 luma blocks.
struct LumaResidue<'r> {
    blocks: &'r mut [[i32; 16]],
    counts: &'r [u8],
}

/// Reconstructs luma subblock by subblock, because each is predicted from those before it (RFC 6386, section 12.3).
#[inline(never)]
fn reconstruct_subblocks(
    strip: &mut Strip,
    address: BlockAddress,
    modes: &[SubblockMode; 16],
    mut residue: Option<LumaResidue<'_>>,
) {
    let (stride, samples) = (strip.stride, &mut strip.samples[..]);
    // The four samples above and to the right of the macroblock are used for all subblocks of the last column (RFC
    // 6386, section 12.3).
    let above_right: [u8; 4] = load(samples, address.start - stride + 16);
    for (n, mode) in modes.iter().enumerate() {
        let address = address.subblock(n % 4, n / 4);
        let at = address.start;
        // Four samples are loaded at a time, because they were stored in that size. The processor can then forward them
        // from its store buffer.
        let [a0, a1, a2, a3] = load(samples, at - stride);
        let [a4, a5, a6, a7] = if n % 4 == 3 { above_right } else { load(samples, at - stride + 4) };
        let [corner, l0, l1, l2, l3] = [
            samples[at - stride - 1],
            samples[at - 1],
            samples[at + stride - 1],
            samples[at + 2 * stride - 1],
            samples[at + 3 * stride - 1],
        ];
        let context = [l3, l2, l1, l0, corner, a0, a1, a2, a3, a4, a5, a6, a7];
        let predicted = predict_subblock(&context, *mode);
        let block = match &mut residue {
            Some(LumaResidue { blocks, counts }) if counts[n] > 0 => sum(&predicted, &mut blocks[n], counts[n]),
            _ => predicted,
        };
        store_subblock(samples, address, block);
    }
}

/// Adds the residue of a block to the predicted samples at `address`.
#[inline(always)]
fn add_residue(samples: &mut [u8], address: BlockAddress, block: &mut [i32; 16], count: u8) {
    if count == 0 {
        return;
    }
    let mut predicted: Subblock = [[0; 4]; 4];
    for (y, line) in predicted.iter_mut().enumerate() {
        *line = load(samples, address.line(y));
    }
    store_subblock(samples, address, sum(&predicted, block, count));
}

#[inline(always)]
fn store_subblock(samples: &mut [u8], address: BlockAddress, block: Subblock) {
    for (y, line) in block.into_iter().enumerate() {
        store(samples, address.line(y), line);
    }
}

/// Adds the residue to the prediction, and resets the residue to zero.
#[inline(always)]
fn sum(predicted: &Subblock, block: &mut [i32; 16], count: u8) -> Subblock {
    let residue = inverse_dct(block, count);
    *block = [0; 16];
    let mut sum = *predicted;
    for (sample, residue) in sum.as_flattened_mut().iter_mut().zip(residue) {
        *sample = (i32::from(*sample) + residue).clamp(0, 255) as u8;
    }
    sum
}
