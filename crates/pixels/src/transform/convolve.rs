//! Lanczos in floating point, a few rows at a time: for samples that are scaled as something else than they are stored as,
//! which eight bits cannot hold. Alpha multiplied in is such a thing, and light is.
//!
//! A few rows of the original are lifted to numbers that can be weighed and added up, made narrower, and added to the rows
//! of the target that lie near them; a row of the target that is complete is lowered to samples and rounded, once. So there
//! is never more of the picture in floating point than some rows of it. Nothing is cut off on the way: what one direction
//! takes beyond black or white, the other may take back.
//!
//! Each number is the sum of the same terms in the same order whatever the processor can do, so the bytes are the same
//! everywhere.

use std::collections::VecDeque;
use std::f64::consts::PI;
use std::num::NonZeroU32;

use crate::pixels::{Pixels, Window};

/// Rows that are lifted at once: they share each look at a weight, and each walk over the rows of the target.
const ROWS: usize = 4;

/// So many rows of the target at most lie near so many of the original.
const SUMS_MAX: u64 = 16;

/// A pixel of each of the [`ROWS`] at one place.
type Column<const CHANNELS: usize> = [[f32; CHANNELS]; ROWS];

/// The window at `size`. `lift` makes a pixel what is added up, and `lower` makes a mean of that a pixel.
pub(crate) fn convolve<const CHANNELS: usize>(
    pixels: &Pixels,
    window: Window,
    (width, height): (NonZeroU32, NonZeroU32),
    lift: impl Fn([u8; CHANNELS]) -> [f32; CHANNELS],
    lower: impl Fn([f32; CHANNELS]) -> [u8; CHANNELS],
) -> Pixels {
    let across = Kernels::new(pixels.width, (window.x, window.width), width);
    let down = Kernels::new(pixels.height, (window.y, window.height), height);
    let (source, _) = pixels.data.as_chunks::<CHANNELS>();
    let row = |y: usize| {
        let begin = y.min(down.end.saturating_sub(1)) * pixels.width as usize;
        source.get(begin + across.begin..begin + across.end).unwrap_or_default()
    };
    let target_width = width.get() as usize;
    let mut lifted = vec![[[0.0; CHANNELS]; ROWS]; across.end - across.begin];
    let mut narrowed: [Vec<f32>; ROWS] = std::array::from_fn(|_| vec![0.0; target_width * CHANNELS]);
    let mut sums = Sums::new(&down.kernels, target_width * CHANNELS);
    let mut data = vec![0; target_width * height.get() as usize * CHANNELS];
    let mut target = data.chunks_exact_mut(target_width * CHANNELS);
    for y in (down.begin..down.end).step_by(ROWS) {
        // Beyond the last row it is repeated; nothing weighs it.
        lift_rows(std::array::from_fn(|n| row(y + n)), &mut lifted, &lift);
        narrow(&lifted, &across, &mut narrowed);
        sums.add(y, &narrowed);
        while let Some(sum) = sums.complete(y + ROWS) {
            let means = sum.as_chunks().0.iter();
            let row = target.next().unwrap_or_default().as_chunks_mut().0;
            row.iter_mut().zip(means).for_each(|(pixel, mean)| *pixel = lower(*mean));
        }
    }
    let channels = u8::try_from(CHANNELS).unwrap_or(u8::MAX);
    Pixels { width: width.get(), height: height.get(), channels, data }
}

/// An upper bound, in bytes, of what [`convolve`] allocates besides its result for sides of at most `longest` pixels and a
/// target of at most `side`.
pub(crate) const fn bytes(longest: u64, side: u64, channels: u64) -> u64 {
    let rows = 4 * channels * (ROWS as u64 * longest + (ROWS as u64 + SUMS_MAX) * side);
    // Six weights for each pixel and each side, some more for each kernel, and the largest kernel's in double precision.
    rows + 100 * longest + 100 * side
}

/// `sample` of 0 to 255, rounded; what is beyond is cut off.
pub(crate) fn byte(sample: f32) -> u8 {
    // Beside 1.5 * 2^23 a number has no room for fractions, and its lowest bits are the integer (IEEE 754 binary32).
    const ROUNDED: f32 = 12_582_912.0;
    (sample.clamp(0.0, 255.0) + ROUNDED).to_bits().to_le_bytes()[0]
}

/// What the samples of one target are the means of, in one direction.
struct Kernels {
    kernels: Vec<Kernel>,
    /// The first sample that any of them weighs, and the one behind the last.
    begin: usize,
    end: usize,
}

struct Kernel {
    /// The first sample that is weighed.
    begin: usize,
    /// Their sum is one.
    weights: Vec<f32>,
}

impl Kernels {
    /// Those of `target` samples across so much, from `at` on, of `length`.
    fn new(length: u32, (at, covered): (f64, f64), target: NonZeroU32) -> Self {
        let scale = covered / f64::from(target.get());
        let kernels: Vec<Kernel> = (0..target.get())
            .map(|n| Kernel::new(length, at.max(0.0) + (f64::from(n) + 0.5) * scale, scale.max(1.0)))
            .collect();
        let begin = kernels.iter().map(|kernel| kernel.begin).min().unwrap_or(0);
        let end = kernels.iter().map(Kernel::end).max().unwrap_or(0);
        Self { kernels, begin, end }
    }
}

impl Kernel {
    /// Three lobes, each `scale` samples wide, to both sides of `center`, as far as there are samples.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the length")]
    fn new(length: u32, center: f64, scale: f64) -> Self {
        let radius = 3.0 * scale;
        let end = (center + radius).ceil().clamp(0.0, f64::from(length)) as u32;
        let begin = (center - radius).floor().clamp(0.0, f64::from(end)) as u32;
        let weights: Vec<f64> = (begin..end).map(|x| lanczos((f64::from(x) + 0.5 - center) / scale)).collect();
        let sum: f64 = weights.iter().sum();
        Self { begin: begin as usize, weights: weights.iter().map(|weight| (weight / sum) as f32).collect() }
    }

    fn end(&self) -> usize {
        self.begin + self.weights.len()
    }
}

/// The sinc function below the main lobe of one three times as wide.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn lift_rows<const CHANNELS: usize>(
    [a, b, c, d]: [&[[u8; CHANNELS]]; ROWS],
    lifted: &mut [Column<CHANNELS>],
    lift: impl Fn([u8; CHANNELS]) -> [f32; CHANNELS],
) {
    for ((((column, a), b), c), d) in lifted.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *column = [lift(*a), lift(*b), lift(*c), lift(*d)];
    }
}

fn narrow<const CHANNELS: usize>(lifted: &[Column<CHANNELS>], across: &Kernels, narrowed: &mut [Vec<f32>; ROWS]) {
    for (x, kernel) in across.kernels.iter().enumerate() {
        let mut sums = [[0.0; CHANNELS]; ROWS];
        let columns = lifted.get(kernel.begin - across.begin..).unwrap_or_default();
        for (column, weight) in columns.iter().zip(&kernel.weights) {
            for (sum, sample) in sums.as_flattened_mut().iter_mut().zip(column.as_flattened()) {
                *sum += sample * weight;
            }
        }
        for (row, sum) in narrowed.iter_mut().zip(sums) {
            if let Some(pixel) = row.as_chunks_mut().0.get_mut(x) {
                *pixel = sum;
            }
        }
    }
}

/// The rows of the target that are being added up.
struct Sums<'a> {
    /// Those of the rows that are not complete.
    kernels: &'a [Kernel],
    /// The first of them, as far as they are begun.
    begun: VecDeque<Vec<f32>>,
    /// The last that was complete.
    done: Vec<f32>,
    length: usize,
}

impl<'a> Sums<'a> {
    fn new(kernels: &'a [Kernel], length: usize) -> Self {
        Self { kernels, begun: VecDeque::new(), done: Vec::new(), length }
    }

    /// Adds rows of the original, of which the first is row `y`.
    fn add(&mut self, y: usize, rows: &[Vec<f32>; ROWS]) {
        while self.kernels.get(self.begun.len()).is_some_and(|kernel| kernel.begin < y + ROWS) {
            // The buffer of a row that was complete is used again.
            let mut sum = std::mem::take(&mut self.done);
            sum.clear();
            sum.resize(self.length, 0.0);
            self.begun.push_back(sum);
        }
        for (sum, kernel) in self.begun.iter_mut().zip(self.kernels) {
            let weight = |n: usize| (y + n).checked_sub(kernel.begin).and_then(|n| kernel.weights.get(n));
            let weights = std::array::from_fn(|n| weight(n).copied().unwrap_or(0.0));
            add_weighed(sum, rows, weights);
        }
    }

    /// The first row, if rows of the original from `y` on add nothing to it.
    fn complete(&mut self, y: usize) -> Option<&[f32]> {
        let (first, rest) = self.kernels.split_first()?;
        if first.end() > y {
            return None;
        }
        self.done = self.begun.pop_front()?;
        self.kernels = rest;
        Some(&self.done)
    }
}

fn add_weighed(sum: &mut [f32], [a, b, c, d]: &[Vec<f32>; ROWS], weights: [f32; ROWS]) {
    for ((((sum, a), b), c), d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *sum += (a * weights[0] + b * weights[1]) + (c * weights[2] + d * weights[3]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonzero(n: u32) -> NonZeroU32 {
        NonZeroU32::new(n).unwrap()
    }

    #[test]
    fn weights_add_up_to_one_and_lie_within_the_samples() {
        for (length, at, covered, target) in
            [(100, 0.0, 100.0, 33), (7, 0.0, 7.0, 7), (1, 0.0, 1.0, 1), (65_535, 0.5, 60_000.25, 3), (40, 12.7, 9.1, 9)]
        {
            let kernels = Kernels::new(length, (at, covered), nonzero(target));
            assert!(kernels.end <= length as usize && kernels.begin < kernels.end);
            for kernel in &kernels.kernels {
                let sum: f64 = kernel.weights.iter().copied().map(f64::from).sum();
                assert!((sum - 1.0).abs() < 1e-4, "{length} to {target}: {sum}");
            }
        }
    }

    #[test]
    fn no_more_rows_are_begun_than_the_ticket_counts() {
        for (length, target) in [(100, 100), (101, 100), (150, 100), (256, 100), (1000, 100), (1000, 3)] {
            let down = Kernels::new(length, (0.0, f64::from(length)), nonzero(target));
            let mut sums = Sums::new(&down.kernels, 1);
            let mut rows = 0;
            for y in (down.begin..down.end).step_by(ROWS) {
                sums.add(y, &std::array::from_fn(|_| vec![1.0]));
                assert!(sums.begun.len() as u64 <= SUMS_MAX, "{length} to {target}: {}", sums.begun.len());
                while let Some(sum) = sums.complete(y + ROWS) {
                    assert!((sum[0] - 1.0).abs() < 1e-4, "{}", sum[0]);
                    rows += 1;
                }
            }
            assert_eq!(rows, target);
        }
    }

    #[test]
    fn samples_are_rounded_and_cut_off() {
        let table = [(-3.0, 0), (0.49, 0), (0.51, 1), (127.4, 127), (254.6, 255), (1e9, 255), (-1e9, 0)];
        for (sample, expected) in table {
            assert_eq!(byte(sample), expected, "{sample}");
        }
    }
}
