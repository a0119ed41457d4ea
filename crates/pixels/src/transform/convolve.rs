//! Lanczos scaling in floating point, for samples that 8 bits cannot represent: premultiplied colors and linear light.
//!
//! The image is processed a few rows at a time, so only some rows exist in floating point. These rows are converted to
//! linear values, scaled horizontally, and added to the target rows whose kernels cover them. A complete target row is
//! converted back and rounded once. Intermediate values are not clipped, because overshoot in one direction may be
//! compensated in the other.
//!
//! Every sum adds the same terms in the same order on every processor, so the bytes are the same everywhere.

use std::collections::VecDeque;
use std::f64::consts::PI;
use std::num::NonZeroU32;

use crate::pixels::{Pixels, Window};

/// Rows that are processed together, so that each kernel weight and each target row is loaded once for all of them.
const ROWS: usize = 4;

/// Maximum number of target rows whose kernels overlap [`ROWS`] rows of the original.
const SUMS_MAX: u64 = 16;

/// One column of [`ROWS`] pixels.
type Column<const CHANNELS: usize> = [[f32; CHANNELS]; ROWS];

/// Scales the window to `size`. `to_linear` converts a pixel to values that can be averaged, and `from_linear` converts
/// an average back.
pub(crate) fn convolve<const CHANNELS: usize>(
    pixels: &Pixels,
    window: Window,
    (width, height): (NonZeroU32, NonZeroU32),
    to_linear: impl Fn([u8; CHANNELS]) -> [f32; CHANNELS],
    from_linear: impl Fn([f32; CHANNELS]) -> [u8; CHANNELS],
) -> Pixels {
    let across = Kernels::new(pixels.width, (window.x, window.width), width);
    let down = Kernels::new(pixels.height, (window.y, window.height), height);
    let (source, _) = pixels.data.as_chunks::<CHANNELS>();
    let row = |y: usize| {
        let begin = y.min(down.end.saturating_sub(1)) * pixels.width as usize;
        source.get(begin + across.begin..begin + across.end).unwrap_or_default()
    };
    let target_width = width.get() as usize;
    let mut linear = vec![[[0.0; CHANNELS]; ROWS]; across.end - across.begin];
    let mut scaled: [Vec<f32>; ROWS] = std::array::from_fn(|_| vec![0.0; target_width * CHANNELS]);
    let mut sums = Sums::new(&down.kernels, target_width * CHANNELS);
    let mut data = vec![0; target_width * height.get() as usize * CHANNELS];
    let mut target = data.chunks_exact_mut(target_width * CHANNELS);
    for y in (down.begin..down.end).step_by(ROWS) {
        // Rows beyond the last one repeat it; their weights are zero.
        convert_rows(std::array::from_fn(|n| row(y + n)), &mut linear, &to_linear);
        scale_rows(&linear, &across, &mut scaled);
        sums.add(y, &scaled);
        while let Some(sum) = sums.complete(y + ROWS) {
            let means = sum.as_chunks().0.iter();
            let row = target.next().unwrap_or_default().as_chunks_mut().0;
            row.iter_mut().zip(means).for_each(|(pixel, mean)| *pixel = from_linear(*mean));
        }
    }
    let channels = u8::try_from(CHANNELS).unwrap_or(u8::MAX);
    Pixels { width: width.get(), height: height.get(), channels, data }
}

/// An upper bound, in bytes, of the memory that [`convolve`] allocates in addition to its result, for an original whose
/// longer side is `longest` and a target whose longer side is `side`.
pub(crate) const fn bytes(longest: u64, side: u64, channels: u64) -> u64 {
    let rows = 4 * channels * (ROWS as u64 * longest + (ROWS as u64 + SUMS_MAX) * side);
    // Six weights per pixel and direction, some overhead per kernel, and the largest kernel in double precision.
    rows + 100 * longest + 100 * side
}

/// Rounds to an integer and clips to 0 to 255.
pub(crate) fn to_u8(sample: f32) -> u8 {
    // A number near 1.5 * 2^23 has no fraction bits, so its low bits are the integer (IEEE 754 binary32).
    const ROUNDED: f32 = 12_582_912.0;
    (sample.clamp(0.0, 255.0) + ROUNDED).to_bits().to_le_bytes()[0]
}

/// The kernels of all target samples in one direction.
struct Kernels {
    kernels: Vec<Kernel>,
    /// First sample with a weight.
    begin: usize,
    /// End of the samples with a weight.
    end: usize,
}

struct Kernel {
    /// First sample with a weight.
    begin: usize,
    /// The weights of consecutive samples. Their sum is 1.
    weights: Vec<f32>,
}

impl Kernels {
    /// Kernels for `target` samples over the range of `covered` samples from `at` on, in a row of `length` samples.
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
    /// A kernel with three lobes of `scale` samples on each side of `center`, truncated at the edges of the image.
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

/// The Lanczos function: sinc, windowed by the main lobe of a sinc that is three times as wide.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

fn convert_rows<const CHANNELS: usize>(
    [a, b, c, d]: [&[[u8; CHANNELS]]; ROWS],
    linear: &mut [Column<CHANNELS>],
    to_linear: impl Fn([u8; CHANNELS]) -> [f32; CHANNELS],
) {
    for ((((column, a), b), c), d) in linear.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *column = [to_linear(*a), to_linear(*b), to_linear(*c), to_linear(*d)];
    }
}

fn scale_rows<const CHANNELS: usize>(linear: &[Column<CHANNELS>], across: &Kernels, scaled: &mut [Vec<f32>; ROWS]) {
    for (x, kernel) in across.kernels.iter().enumerate() {
        let mut sums = [[0.0; CHANNELS]; ROWS];
        let columns = linear.get(kernel.begin - across.begin..).unwrap_or_default();
        for (column, weight) in columns.iter().zip(&kernel.weights) {
            for (sum, sample) in sums.as_flattened_mut().iter_mut().zip(column.as_flattened()) {
                *sum += sample * weight;
            }
        }
        for (row, sum) in scaled.iter_mut().zip(sums) {
            if let Some(pixel) = row.as_chunks_mut().0.get_mut(x) {
                *pixel = sum;
            }
        }
    }
}

/// The target rows that are not complete yet.
struct Sums<'a> {
    /// Kernels of the rows that are not complete.
    kernels: &'a [Kernel],
    /// Sums of the rows to which something was added.
    started: VecDeque<Vec<f32>>,
    /// The last complete row.
    done: Vec<f32>,
    length: usize,
}

impl<'a> Sums<'a> {
    fn new(kernels: &'a [Kernel], length: usize) -> Self {
        Self { kernels, started: VecDeque::new(), done: Vec::new(), length }
    }

    /// Adds rows of the original; the first one is row `y`.
    fn add(&mut self, y: usize, rows: &[Vec<f32>; ROWS]) {
        while self.kernels.get(self.started.len()).is_some_and(|kernel| kernel.begin < y + ROWS) {
            // Reuses the buffer of the last complete row.
            let mut sum = std::mem::take(&mut self.done);
            sum.clear();
            sum.resize(self.length, 0.0);
            self.started.push_back(sum);
        }
        for (sum, kernel) in self.started.iter_mut().zip(self.kernels) {
            let weight = |n: usize| (y + n).checked_sub(kernel.begin).and_then(|n| kernel.weights.get(n));
            let weights = std::array::from_fn(|n| weight(n).copied().unwrap_or(0.0));
            add_weighted(sum, rows, weights);
        }
    }

    /// Returns the first row if rows of the original from `y` on do not contribute to it.
    fn complete(&mut self, y: usize) -> Option<&[f32]> {
        let (first, rest) = self.kernels.split_first()?;
        if first.end() > y {
            return None;
        }
        self.done = self.started.pop_front()?;
        self.kernels = rest;
        Some(&self.done)
    }
}

fn add_weighted(sum: &mut [f32], [a, b, c, d]: &[Vec<f32>; ROWS], weights: [f32; ROWS]) {
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
    fn weights_sum_to_one_and_stay_within_the_image() {
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
    fn started_rows_stay_within_the_memory_estimate() {
        for (length, target) in [(100, 100), (101, 100), (150, 100), (256, 100), (1000, 100), (1000, 3)] {
            let down = Kernels::new(length, (0.0, f64::from(length)), nonzero(target));
            let mut sums = Sums::new(&down.kernels, 1);
            let mut rows = 0;
            for y in (down.begin..down.end).step_by(ROWS) {
                sums.add(y, &std::array::from_fn(|_| vec![1.0]));
                assert!(sums.started.len() as u64 <= SUMS_MAX, "{length} to {target}: {}", sums.started.len());
                while let Some(sum) = sums.complete(y + ROWS) {
                    assert!((sum[0] - 1.0).abs() < 1e-4, "{}", sum[0]);
                    rows += 1;
                }
            }
            assert_eq!(rows, target);
        }
    }

    #[test]
    fn samples_are_rounded_and_clipped() {
        let table = [(-3.0, 0), (0.49, 0), (0.51, 1), (127.4, 127), (254.6, 255), (1e9, 255), (-1e9, 0)];
        for (sample, expected) in table {
            assert_eq!(to_u8(sample), expected, "{sample}");
        }
    }
}
