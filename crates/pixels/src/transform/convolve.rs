//! Lanczos scaling in floating point, for samples that 8 bits cannot represent: premultiplied colors and linear light.
//!
//! The image is processed a few rows at a time, so only some rows exist in floating point. These rows are converted to
//! values that can be averaged, and added to the target rows whose kernels cover them. A complete target row is scaled
//! horizontally, converted back and rounded once. Intermediate values are not clipped, because overshoot in one
//! direction may be compensated in the other.
//!
//! The code is compiled for each level of vector instructions. Every sum adds the same terms in the same order on every
//! level, and products are rounded before they are added, so the bytes are the same everywhere.

use std::num::NonZeroU32;
use std::ops::Range;

use fearless_simd::{Level, dispatch};

use crate::pixels::{Pixels, Window};

mod kernels;
mod sums;

use kernels::{Kernels, LANES};
use sums::{ROWS, SUMS_MAX, Sums};

/// The rows of an image, as values that can be averaged.
pub(crate) trait Rows {
    /// The samples of the target.
    type Sample: Copy + Default;

    /// Width and height in pixels.
    fn size(&self) -> (u32, u32);

    fn channels(&self) -> usize;

    /// Writes these columns of row `y`, one channel after the other.
    fn load(&mut self, y: usize, columns: Range<usize>, values: &mut [f32]);

    /// Converts averages, which come one channel after the other, to a row of pixels.
    fn store(&self, means: &[f32], row: &mut [Self::Sample]);
}

/// Scales the window to `size`, with the widest vectors of this processor.
pub(crate) fn convolve<R: Rows>(source: &mut R, window: Window, size: (NonZeroU32, NonZeroU32)) -> Pixels<R::Sample> {
    dispatch!(Level::new(), _simd => convolve_inlined(source, window, size))
}

/// Is inlined with all that it calls, so that the compiler uses the vectors of the caller.
#[inline(always)]
fn convolve_inlined<R: Rows>(
    source: &mut R,
    window: Window,
    (width, height): (NonZeroU32, NonZeroU32),
) -> Pixels<R::Sample> {
    let (source_width, source_height) = source.size();
    let across = Kernels::new(source_width, (window.x, window.width), width);
    let down = Kernels::new(source_height, (window.y, window.height), height);
    let (columns, channels, target_width) = (across.begin..across.end, source.channels(), width.get() as usize);
    let samples = channels * columns.len();
    let mut rows: [Vec<f32>; ROWS] = std::array::from_fn(|_| vec![0.0; samples + LANES]);
    let mut sums = Sums::new(&down.kernels, samples + LANES);
    let mut means = vec![0.0; channels * target_width];
    let mut data = vec![R::Sample::default(); channels * target_width * height.get() as usize];
    let mut target = data.chunks_exact_mut(channels * target_width);
    for y in (down.begin..down.end).step_by(ROWS) {
        // Rows beyond the last one keep their values; their weights are zero.
        for (row, y) in rows.iter_mut().zip(y..down.end) {
            source.load(y, columns.clone(), row.get_mut(..samples).unwrap_or_default());
        }
        sums.add(y, &rows);
        while let Some(sum) = sums.complete(y + ROWS) {
            for (channel, means) in means.chunks_exact_mut(target_width).enumerate() {
                across.scale(sum.get(channel * columns.len()..).unwrap_or_default(), means);
            }
            source.store(&means, target.next().unwrap_or_default());
        }
    }
    let channels = u8::try_from(channels).unwrap_or(u8::MAX);
    Pixels { width: width.get(), height: height.get(), channels, data }
}

/// An upper bound, in bytes, of the memory that [`convolve`] allocates in addition to its result, for an original and a
/// target of these sizes.
pub(crate) fn bytes(source: (u32, u32), target: (u32, u32), channels: u64) -> u64 {
    let (longest, side) = (u64::from(source.0.max(source.1)), u64::from(target.0.max(target.1)));
    let rows = ROWS as u64 + SUMS_MAX.min(target.1.into());
    let samples = channels * (rows * (u64::from(source.0) + LANES as u64) + u64::from(target.0));
    // Six weights per pixel and direction, some overhead per kernel, and the largest kernel in double precision.
    4 * samples + 100 * longest + 120 * side
}

/// Rounds to an integer and clips to 0 to 255.
#[inline(always)]
pub(crate) fn to_u8(sample: f32) -> u8 {
    // A number near 1.5 * 2^23 has no fraction bits, so its low bits are the integer (IEEE 754 binary32).
    const ROUNDED: f32 = 12_582_912.0;
    (sample.clamp(0.0, 255.0) + ROUNDED).to_bits().to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_rounded_and_clipped() {
        let table = [(-3.0, 0), (0.49, 0), (0.51, 1), (127.4, 127), (254.6, 255), (1e9, 255), (-1e9, 0)];
        for (sample, expected) in table {
            assert_eq!(to_u8(sample), expected, "{sample}");
        }
    }
}
