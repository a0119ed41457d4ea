//! Rate-distortion optimized quantization of a block.
//!
//! Each coefficient is rounded to nearest, or to a value nearer to zero if the bits that this saves outweigh the error. The
//! best values of a block are found by dynamic programming over its nonzero coefficients, because the length of a code
//! depends on the number of zeros before the coefficient.

use super::coefficients::Block;
use super::entropy_encode::HuffmanCode;

/// Bits of the symbols of an AC table.
#[derive(Debug)]
pub(super) struct AcBits {
    /// Bits of a coefficient by the number of zeros before it and the length of its value, with the value bits.
    coefficient: [[f32; 16]; 64],
    /// Bits of the end of a block.
    end: f32,
}

/// Bits of a symbol that has no code yet.
const UNUSED_BITS: u8 = 18;

impl AcBits {
    /// The bits with this code.
    pub(super) fn new(code: &HuffmanCode) -> Self {
        let length = |symbol: usize| match code.codes[symbol].1 {
            0 => f32::from(UNUSED_BITS),
            length => f32::from(length),
        };
        let bits =
            |run: usize, size: usize| (run / 16) as f32 * length(0xF0) + length((run % 16) << 4 | size) + size as f32;
        Self { coefficient: std::array::from_fn(|run| std::array::from_fn(|size| bits(run, size))), end: length(0) }
    }
}

/// The best way to code the coefficients up to one that is not zero.
#[derive(Clone, Copy)]
struct Step {
    /// Zigzag index of the coefficient.
    index: u8,
    /// Position of the previous nonzero coefficient in the list of steps.
    previous: u8,
    /// Magnitude of the coefficient.
    level: u16,
    /// Cost of all coefficients up to this one, minus the cost of coding them all as zero.
    cost: f32,
}

/// Quantizes the AC coefficients to `block`. `scaled` are the coefficients divided by their quantizers, in zigzag order.
/// The cost of a bit is `lambda` squared quantizers.
pub(super) fn quantize_ac(scaled: &[f32; 64], bits: &AcBits, lambda: f32, block: &mut Block) {
    let mut steps = [Step { index: 0, previous: 0, level: 0, cost: 0.0 }; 64];
    let mut count = 1;
    // Bit k is set if coefficient k does not round to zero.
    let mut candidates = 0_u64;
    for (k, value) in scaled.iter().enumerate() {
        candidates |= u64::from(value.abs() >= 0.5) << k;
    }
    candidates &= !1;
    let end = lambda * bits.end;
    // The cheapest end of the block: after the step of this position, or after the first one, which stands for DC.
    let mut best_end = (end, 0);
    while candidates != 0 {
        let k = candidates.trailing_zeros() as usize;
        candidates &= candidates - 1;
        let magnitude = scaled[k & 63].abs();
        let nearest = ((magnitude + 0.5) as u16).min(LEVEL_MAX);
        let mut best = Step { index: k as u8, previous: 0, level: 0, cost: f32::INFINITY };
        let mut level = nearest;
        // The value below nearest, and the largest value that has one bit less.
        for _ in 0..3 {
            let size = (16 - level.leading_zeros()) as usize;
            let error = magnitude - f32::from(level);
            let distortion = error * error - magnitude * magnitude;
            for (n, step) in steps[..count].iter().enumerate() {
                let run = k - usize::from(step.index) - 1;
                let cost = step.cost + lambda * bits.coefficient[run & 63][size & 15];
                if cost + distortion < best.cost {
                    best = Step { previous: n as u8, level, cost: cost + distortion, ..best };
                }
            }
            let below = if level == nearest { level - 1 } else { (1 << (size - 1)) - 1 };
            if below == 0 {
                break;
            }
            level = below;
        }
        let ended = best.cost + if k == 63 { 0.0 } else { end };
        if ended < best_end.0 {
            best_end = (ended, count);
        }
        steps[count & 63] = best;
        count += 1;
    }
    block[1..].fill(0);
    let mut position = best_end.1;
    while position != 0 {
        let step = steps[position & 63];
        let index = usize::from(step.index);
        let level = step.level as i16;
        block[index & 63] = if scaled[index & 63] < 0.0 { -level } else { level };
        position = usize::from(step.previous);
    }
}

/// Largest magnitude of an AC coefficient (ITU-T T.81, table F.2).
const LEVEL_MAX: u16 = 1023;
