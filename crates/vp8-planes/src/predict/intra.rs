//! Intra prediction (RFC 6386, section 12).

use crate::macroblock::{PredictionMode, SubblockMode};
use crate::samples::BlockAddress;

/// The neighbors of a macroblock that lie within the image.
#[derive(Debug, Clone, Copy)]
pub(super) struct AvailableNeighbors {
    pub(super) above: bool,
    pub(super) left: bool,
}

/// Predicts a square of `SIDE` x `SIDE` samples in place (RFC 6386, section 12.2).
///
/// The samples to the left and above are decoded samples or, beyond the edge of the image, constants. The DC mode
/// averages only those in `neighbors`.
#[inline(always)]
pub(super) fn predict_square<const SIDE: usize>(
    samples: &mut [u8],
    address: BlockAddress,
    mode: PredictionMode,
    neighbors: AvailableNeighbors,
) {
    let BlockAddress { start: at, stride } = address;
    let Some(above) = samples.get(at - stride..).and_then(|line| line.first_chunk::<SIDE>()).copied() else { return };
    let corner = samples[at - stride - 1];
    let left = |samples: &[u8], y: usize| samples[at + y * stride - 1];
    let mean = match mode {
        PredictionMode::Dc => {
            let sum_above: u32 = if neighbors.above { above.iter().map(|sample| u32::from(*sample)).sum() } else { 0 };
            let sum_left = if neighbors.left { (0..SIDE).map(|y| u32::from(left(samples, y))).sum() } else { 0 };
            let count = SIDE as u32 * (u32::from(neighbors.above) + u32::from(neighbors.left));
            if count == 0 { 128 } else { ((sum_above + sum_left + count / 2) >> count.trailing_zeros()) as u8 }
        }
        _ => 0,
    };
    for y in 0..SIDE {
        let first = left(samples, y);
        let Some(line) = samples.get_mut(at + y * stride..).and_then(|line| line.first_chunk_mut::<SIDE>()) else {
            return;
        };
        *line = match mode {
            PredictionMode::Dc => [mean; SIDE],
            PredictionMode::Vertical => above,
            PredictionMode::Horizontal => [first; SIDE],
            PredictionMode::TrueMotion => {
                let step = i16::from(first) - i16::from(corner);
                above.map(|above| (i16::from(above) + step).clamp(0, 255) as u8)
            }
        };
    }
}

/// A subblock of 4 x 4 samples.
pub(super) type Subblock = [[u8; 4]; 4];

/// The samples from which a subblock is predicted: four to the left from bottom to top, the corner, and eight above
/// from left to right (`E` in RFC 6386, section 12.3).
pub(super) type PredictionContext = [u8; 13];

/// Rounded mean of three samples, starting at `n`, in which the middle one has twice the weight.
#[inline(always)]
fn mean_of_three(context: &PredictionContext, n: usize) -> u8 {
    let [a, b, c] = [n, n + 1, n + 2].map(|n| u16::from(context[n]));
    ((a + 2 * b + c + 2) >> 2) as u8
}

/// Rounded mean of two samples, starting at `n`.
#[inline(always)]
fn mean_of_two(context: &PredictionContext, n: usize) -> u8 {
    u16::midpoint(u16::from(context[n]), u16::from(context[n + 1]) + 1) as u8
}

/// Predicts a subblock of 4 x 4 samples (RFC 6386, section 12.3).
#[inline(always)]
pub(super) fn predict_subblock(context: &PredictionContext, mode: SubblockMode) -> Subblock {
    let &[l3, l2, l1, l0, corner, a0, a1, a2, a3, _, _, a6, a7] = context;
    // Mean of three at the end of the context, which repeats its last sample.
    let end = |a: u8, b: u8| ((u16::from(a) + 3 * u16::from(b) + 2) >> 2) as u8;
    let three = |n: usize| mean_of_three(context, n);
    let two = |n: usize| mean_of_two(context, n);
    match mode {
        SubblockMode::Dc => {
            let sum: u16 = [l3, l2, l1, l0, a0, a1, a2, a3].into_iter().map(u16::from).sum();
            [[((sum + 4) >> 3) as u8; 4]; 4]
        }
        SubblockMode::TrueMotion => [l0, l1, l2, l3].map(|left| {
            let step = i16::from(left) - i16::from(corner);
            [a0, a1, a2, a3].map(|above| (i16::from(above) + step).clamp(0, 255) as u8)
        }),
        SubblockMode::Vertical => [[three(4), three(5), three(6), three(7)]; 4],
        SubblockMode::Horizontal => [[three(2); 4], [three(1); 4], [three(0); 4], [end(l2, l3); 4]],
        SubblockMode::LeftDown => {
            let means = [three(5), three(6), three(7), three(8), three(9), three(10), end(a6, a7)];
            diagonal(&means)
        }
        SubblockMode::RightDown => {
            let means = [three(0), three(1), three(2), three(3), three(4), three(5), three(6)];
            let [a, b, c, d] = diagonal(&means);
            [d, c, b, a]
        }
        SubblockMode::VerticalRight => {
            let (upper, lower) = ([two(4), two(5), two(6), two(7)], [three(3), three(4), three(5), three(6)]);
            let (third, fourth) = (three(2), three(1));
            [upper, lower, [third, upper[0], upper[1], upper[2]], [fourth, lower[0], lower[1], lower[2]]]
        }
        SubblockMode::VerticalLeft => {
            let (upper, lower) = ([two(5), two(6), two(7), two(8)], [three(5), three(6), three(7), three(8)]);
            [upper, lower, [upper[1], upper[2], upper[3], three(9)], [lower[1], lower[2], lower[3], three(10)]]
        }
        SubblockMode::HorizontalDown => {
            let pair = |n: usize| [two(n), three(n)];
            let ([a, b], [c, d], [e, f], [g, h]) = (pair(3), pair(2), pair(1), pair(0));
            [[a, b, three(4), three(5)], [c, d, a, b], [e, f, c, d], [g, h, e, f]]
        }
        SubblockMode::HorizontalUp => {
            let ([a, b], [c, d]) = ([two(2), three(1)], [two(1), three(0)]);
            let (e, f) = (two(0), end(l2, l3));
            [[a, b, c, d], [c, d, e, f], [e, f, l3, l3], [l3; 4]]
        }
    }
}

/// Rows of four values, each row starting one value later.
#[inline(always)]
fn diagonal(&[a, b, c, d, e, f, g]: &[u8; 7]) -> Subblock {
    [[a, b, c, d], [b, c, d, e], [c, d, e, f], [d, e, f, g]]
}
