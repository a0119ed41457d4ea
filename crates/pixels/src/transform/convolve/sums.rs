//! Vertical scaling, by adding rows to the target rows whose kernels cover them.

use std::collections::VecDeque;

use super::kernels::Kernel;

/// Rows that are added together, so that each target row is loaded once for all of them.
pub(super) const ROWS: usize = 4;

/// Maximum number of target rows whose kernels overlap [`ROWS`] rows of the original.
pub(super) const SUMS_MAX: u64 = 16;

/// Samples of a row that are added to all target rows before the next ones, so that they stay in the cache of the
/// processor.
const BLOCK: usize = 1024;

/// The target rows that are not complete yet.
pub(super) struct Sums<'a> {
    /// Kernels of the rows that are not complete.
    kernels: &'a [Kernel],
    /// Sums of the rows to which something was added.
    started: VecDeque<Vec<f32>>,
    /// The last complete row.
    done: Vec<f32>,
    length: usize,
}

impl<'a> Sums<'a> {
    pub(super) fn new(kernels: &'a [Kernel], length: usize) -> Self {
        Self { kernels, started: VecDeque::new(), done: Vec::new(), length }
    }

    /// Adds rows of the original; the first one is row `y`.
    #[inline(always)]
    pub(super) fn add(&mut self, y: usize, rows: &[Vec<f32>; ROWS]) {
        while self.kernels.get(self.started.len()).is_some_and(|kernel| kernel.begin < y + ROWS) {
            // Reuses the buffer of the last complete row.
            let mut sum = std::mem::take(&mut self.done);
            sum.clear();
            sum.resize(self.length, 0.0);
            self.started.push_back(sum);
        }
        for begin in (0..self.length).step_by(BLOCK) {
            let block = begin..self.length.min(begin + BLOCK);
            let rows = rows.each_ref().map(|row| row.get(block.clone()).unwrap_or_default());
            for (sum, kernel) in self.started.iter_mut().zip(self.kernels) {
                let weight = |n: usize| (y + n).checked_sub(kernel.begin).and_then(|n| kernel.weights.get(n));
                let weights = std::array::from_fn(|n| weight(n).copied().unwrap_or(0.0));
                add_weighted(sum.get_mut(block.clone()).unwrap_or_default(), rows, weights);
            }
        }
    }

    /// Returns the first row if rows of the original from `y` on do not contribute to it.
    #[inline(always)]
    pub(super) fn complete(&mut self, y: usize) -> Option<&[f32]> {
        let (first, rest) = self.kernels.split_first()?;
        if first.end > y {
            return None;
        }
        self.done = self.started.pop_front()?;
        self.kernels = rest;
        Some(&self.done)
    }
}

#[inline(always)]
fn add_weighted(sum: &mut [f32], [a, b, c, d]: [&[f32]; ROWS], weights: [f32; ROWS]) {
    for ((((sum, a), b), c), d) in sum.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *sum += (a * weights[0] + b * weights[1]) + (c * weights[2] + d * weights[3]);
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::transform::convolve::kernels::Kernels;

    #[test]
    fn started_rows_stay_within_the_memory_estimate() {
        for (length, target) in [(100, 100), (101, 100), (150, 100), (256, 100), (1000, 100), (1000, 3)] {
            let down = Kernels::new(length, (0.0, f64::from(length)), NonZeroU32::new(target).unwrap());
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
}
