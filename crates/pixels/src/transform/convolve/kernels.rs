//! The weights of Lanczos scaling in one direction.

use std::f64::consts::PI;
use std::num::NonZeroU32;

/// Weights come in groups of this length, of which the last is padded with zeros.
pub(super) const LANES: usize = 4;

/// The kernels of all target samples in one direction.
pub(super) struct Kernels {
    pub(super) kernels: Vec<Kernel>,
    /// First sample with a weight.
    pub(super) begin: usize,
    /// End of the samples with a weight.
    pub(super) end: usize,
}

pub(super) struct Kernel {
    /// First sample with a weight.
    pub(super) begin: usize,
    /// End of the samples with a weight.
    pub(super) end: usize,
    /// The weights of consecutive samples, padded with zeros to full groups. Their sum is 1.
    pub(super) weights: Vec<f32>,
}

impl Kernels {
    /// Kernels for `target` samples over the range of `covered` samples from `at` on, in a row of `length` samples.
    pub(super) fn new(length: u32, (at, covered): (f64, f64), target: NonZeroU32) -> Self {
        let scale = covered / f64::from(target.get());
        let kernels: Vec<Kernel> = (0..target.get())
            .map(|n| Kernel::new(length, at.max(0.0) + (f64::from(n) + 0.5) * scale, scale.max(1.0)))
            .collect();
        let begin = kernels.iter().map(|kernel| kernel.begin).min().unwrap_or(0);
        let end = kernels.iter().map(|kernel| kernel.end).max().unwrap_or(0);
        Self { kernels, begin, end }
    }

    /// Scales a row of samples from `begin` on. [`LANES`] more samples must follow, whose values do not matter.
    #[inline(always)]
    pub(super) fn scale(&self, row: &[f32], scaled: &mut [f32]) {
        for (scaled, kernel) in scaled.iter_mut().zip(&self.kernels) {
            let samples = row.get(kernel.begin - self.begin..).unwrap_or_default();
            *scaled = dot(samples, &kernel.weights);
        }
    }
}

impl Kernel {
    /// A kernel with three lobes of `scale` samples on each side of `center`, truncated at the edges of the image.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the length")]
    fn new(length: u32, center: f64, scale: f64) -> Self {
        let radius = 3.0 * scale;
        let end = (center + radius).ceil().clamp(0.0, f64::from(length)) as u32;
        let begin = (center - radius).floor().clamp(0.0, f64::from(end)) as u32;
        let exact: Vec<f64> = (begin..end).map(|x| lanczos((f64::from(x) + 0.5 - center) / scale)).collect();
        let sum: f64 = exact.iter().sum();
        let mut weights = Vec::with_capacity(exact.len().next_multiple_of(LANES));
        weights.extend(exact.iter().map(|weight| (weight / sum) as f32));
        weights.resize(exact.len().next_multiple_of(LANES), 0.0);
        Self { begin: begin as usize, end: end as usize, weights }
    }
}

/// The Lanczos function: sinc, windowed by the main lobe of a sinc that is three times as wide.
fn lanczos(x: f64) -> f64 {
    let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * PI).sin() / (x * PI) };
    if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 }
}

/// The weighted sum of samples. The order of the additions does not depend on the processor.
#[inline(always)]
fn dot(samples: &[f32], weights: &[f32]) -> f32 {
    let groups = samples.as_chunks::<LANES>().0.iter().zip(weights.as_chunks::<LANES>().0);
    let sums = groups.fold([0.0; LANES], |sums: [f32; LANES], (samples, weights)| {
        std::array::from_fn(|n| sums[n] + samples[n] * weights[n])
    });
    ((sums[0] + sums[1]) + sums[2]) + sums[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_within_the_image() {
        for (length, at, covered, target) in
            [(100, 0.0, 100.0, 33), (7, 0.0, 7.0, 7), (1, 0.0, 1.0, 1), (65_535, 0.5, 60_000.25, 3), (40, 12.7, 9.1, 9)]
        {
            let kernels = Kernels::new(length, (at, covered), NonZeroU32::new(target).unwrap());
            assert!(kernels.end <= length as usize && kernels.begin < kernels.end);
            for kernel in &kernels.kernels {
                let sum: f64 = kernel.weights.iter().copied().map(f64::from).sum();
                assert!((sum - 1.0).abs() < 1e-4, "{length} to {target}: {sum}");
                assert!(kernel.weights[kernel.end - kernel.begin..].iter().all(|padding| *padding == 0.0));
            }
        }
    }
}
