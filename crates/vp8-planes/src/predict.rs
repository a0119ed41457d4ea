//! Prediction of samples from those around them (RFC 6386 section 12), in place.

use crate::entropy::modes::{Mode, Mode4};

pub(crate) mod transform;

/// Predicts a square of `SIDE` samples whose first lies at `at`. What is left of it and above it has been decoded, or is what stands
/// for it beyond the picture's edge; but a mean is taken of what is in the picture (`has_above`, `has_left`).
#[inline(always)]
pub(crate) fn square<const SIDE: usize>(
    samples: &mut [u8],
    (at, stride): (usize, usize),
    mode: Mode,
    (has_above, has_left): (bool, bool),
) {
    let Some(above) = samples.get(at - stride..).and_then(|line| line.first_chunk::<SIDE>()).copied() else { return };
    let corner = samples[at - stride - 1];
    let left = |samples: &[u8], y: usize| samples[at + y * stride - 1];
    let level = match mode {
        Mode::Dc => {
            let across: u32 = if has_above { above.iter().map(|sample| u32::from(*sample)).sum() } else { 0 };
            let down = if has_left { (0..SIDE).map(|y| u32::from(left(samples, y))).sum() } else { 0 };
            let count = SIDE as u32 * (u32::from(has_above) + u32::from(has_left));
            if count == 0 { 128 } else { ((across + down + count / 2) >> count.trailing_zeros()) as u8 }
        }
        _ => 0,
    };
    for y in 0..SIDE {
        let first = left(samples, y);
        let Some(line) = samples.get_mut(at + y * stride..).and_then(|line| line.first_chunk_mut::<SIDE>()) else {
            return;
        };
        *line = match mode {
            Mode::Dc => [level; SIDE],
            Mode::Vertical => above,
            Mode::Horizontal => [first; SIDE],
            Mode::TrueMotion => {
                let step = i16::from(first) - i16::from(corner);
                above.map(|above| (i16::from(above) + step).clamp(0, 255) as u8)
            }
        };
    }
}

/// A block of 4 x 4 samples.
pub(crate) type Block = [[u8; 4]; 4];

/// What is around a block of 4 x 4: four samples to the left from the bottom up, the corner, eight above and to the right.
pub(crate) type Around = [u8; 13];

/// The mean of three of which the middle one counts twice, from `n` on.
#[inline(always)]
fn three(around: &Around, n: usize) -> u8 {
    let [a, b, c] = [n, n + 1, n + 2].map(|n| u16::from(around[n]));
    ((a + 2 * b + c + 2) >> 2) as u8
}

/// The mean of two, from `n` on.
#[inline(always)]
fn two(around: &Around, n: usize) -> u8 {
    u16::midpoint(u16::from(around[n]), u16::from(around[n + 1]) + 1) as u8
}

/// Predicts a block of 4 x 4 (section 12.3).
#[inline(always)]
pub(crate) fn block(around: &Around, mode: Mode4) -> Block {
    let &[l3, l2, l1, l0, corner, a0, a1, a2, a3, _, _, a6, a7] = around;
    // The last of a row counts as what would be behind it.
    let end = |a: u8, b: u8| ((u16::from(a) + 3 * u16::from(b) + 2) >> 2) as u8;
    let three = |n: usize| three(around, n);
    let two = |n: usize| two(around, n);
    match mode {
        Mode4::Dc => {
            let sum: u16 = [l3, l2, l1, l0, a0, a1, a2, a3].into_iter().map(u16::from).sum();
            [[((sum + 4) >> 3) as u8; 4]; 4]
        }
        Mode4::TrueMotion => [l0, l1, l2, l3].map(|left| {
            let step = i16::from(left) - i16::from(corner);
            [a0, a1, a2, a3].map(|above| (i16::from(above) + step).clamp(0, 255) as u8)
        }),
        Mode4::Vertical => [[three(4), three(5), three(6), three(7)]; 4],
        Mode4::Horizontal => [[three(2); 4], [three(1); 4], [three(0); 4], [end(l2, l3); 4]],
        Mode4::LeftDown => {
            let means = [three(5), three(6), three(7), three(8), three(9), three(10), end(a6, a7)];
            diagonal(&means)
        }
        Mode4::RightDown => {
            let means = [three(0), three(1), three(2), three(3), three(4), three(5), three(6)];
            let [a, b, c, d] = diagonal(&means);
            [d, c, b, a]
        }
        Mode4::VerticalRight => {
            let (upper, lower) = ([two(4), two(5), two(6), two(7)], [three(3), three(4), three(5), three(6)]);
            let (third, fourth) = (three(2), three(1));
            [upper, lower, [third, upper[0], upper[1], upper[2]], [fourth, lower[0], lower[1], lower[2]]]
        }
        Mode4::VerticalLeft => {
            let (upper, lower) = ([two(5), two(6), two(7), two(8)], [three(5), three(6), three(7), three(8)]);
            [upper, lower, [upper[1], upper[2], upper[3], three(9)], [lower[1], lower[2], lower[3], three(10)]]
        }
        Mode4::HorizontalDown => {
            let pair = |n: usize| [two(n), three(n)];
            let ([a, b], [c, d], [e, f], [g, h]) = (pair(3), pair(2), pair(1), pair(0));
            [[a, b, three(4), three(5)], [c, d, a, b], [e, f, c, d], [g, h, e, f]]
        }
        Mode4::HorizontalUp => {
            let ([a, b], [c, d]) = ([two(2), three(1)], [two(1), three(0)]);
            let (e, f) = (two(0), end(l2, l3));
            [[a, b, c, d], [c, d, e, f], [e, f, l3, l3], [l3; 4]]
        }
    }
}

/// Four of seven, from each of the first four on.
#[inline(always)]
fn diagonal(&[a, b, c, d, e, f, g]: &[u8; 7]) -> Block {
    [[a, b, c, d], [b, c, d, e], [c, d, e, f], [d, e, f, g]]
}
