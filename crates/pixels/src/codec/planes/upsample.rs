//! Upsampling of chroma to the resolution of luma, row by row, by linear interpolation.

use std::ops::Range;

use crate::codec::planes::ColorPlane;
use crate::pixels::Pixels;

/// Fraction bits of interpolated samples.
pub(super) const FRACTION_BITS: u32 = 4;

/// A chroma plane, read at the resolution of the luma plane.
pub(super) struct Chroma<'a> {
    samples: &'a Pixels,
    /// Chroma samples per luma sample, horizontally and vertically.
    density: (f64, f64),
    /// The mean of two rows, in quarters, with one more sample on each side.
    mean: Vec<i16>,
    row: Vec<i16>,
}

impl<'a> Chroma<'a> {
    pub(super) fn new(chroma: &'a ColorPlane, luma: &ColorPlane) -> Self {
        let density = (chroma.density.0 / luma.density.0, chroma.density.1 / luma.density.1);
        Self { samples: &chroma.samples, density, mean: Vec::new(), row: Vec::new() }
    }

    /// Chroma at these columns of row `y` of the luma plane. Zero is neutral.
    pub(super) fn row(&mut self, y: usize, columns: &Range<usize>) -> &[i16] {
        if self.density.0 == 0.5 {
            // Begins at an even column, where a chroma sample begins.
            let (begin, end) = (columns.start / 2, columns.end.div_ceil(2));
            self.load_mean(y, begin, end - begin);
            self.row.resize(2 * (end - begin), 0);
            double(&self.mean, &mut self.row);
            return self.row.get(columns.start % 2..).unwrap_or_default();
        }
        self.row.resize(columns.len(), 0);
        if self.density.0 == 1.0 {
            self.load_mean(y, columns.start, columns.len());
            for (sample, mean) in self.row.iter_mut().zip(self.mean.iter().skip(1)) {
                *sample = 4 * mean - NEUTRAL;
            }
        } else {
            self.load_mean(y, 0, self.samples.width as usize);
            for (sample, x) in self.row.iter_mut().zip(columns.clone()) {
                let (near, quarters) = position(x, self.density.0);
                // The first sample of the mean is the one before the row.
                let mean = |x: usize| self.mean.get(x).or(self.mean.last()).copied().unwrap_or_default();
                *sample = (4 - quarters) * mean(near) + quarters * mean(near + 1) - NEUTRAL;
            }
        }
        &self.row
    }

    /// Interpolates between two rows, from column `begin` on, for `length` columns and one more on each side. Beyond
    /// the edges, the last sample is repeated.
    fn load_mean(&mut self, y: usize, begin: usize, length: usize) {
        let (width, height) = (self.samples.width as usize, self.samples.height as usize);
        let (above, quarters) = position(y, self.density.1);
        // Position 0 is the row before the first one.
        let line = |n: usize| {
            let at = width * n.saturating_sub(1).min(height.saturating_sub(1));
            self.samples.data.get(at..at + width).unwrap_or_default()
        };
        let (above, below) = (line(above), line(above + 1));
        let first = begin.saturating_sub(1);
        self.mean.clear();
        self.mean.reserve(length + 2);
        self.mean.extend(
            above
                .iter()
                .zip(below)
                .skip(first)
                .take(begin + length + 1 - first)
                .map(|(above, below)| (4 - quarters) * i16::from(*above) + quarters * i16::from(*below)),
        );
        if begin == 0 {
            self.mean.insert(0, self.mean.first().copied().unwrap_or_default());
        }
        self.mean.resize(length + 2, self.mean.last().copied().unwrap_or_default());
    }
}

/// The neutral sample, with the fraction bits.
const NEUTRAL: i16 = 128 << FRACTION_BITS;

/// Position of a luma sample between the chroma samples: the sample before it, counted from 1, and the distance from it
/// in quarters. The edges of both planes coincide.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position in a plane, and 0 to 3")]
fn position(luma: usize, density: f64) -> (usize, i16) {
    let position = (luma as f64 + 0.5) * density + 0.5;
    (position as usize, ((position.fract() * 4.0) as i16).min(3))
}

/// Doubles the width of a row whose samples are three quarters of the nearest and a quarter of the next sample. `means`
/// has one more sample on each side.
fn double(means: &[i16], row: &mut [i16]) {
    let (left, right) = (means, means.get(2..).unwrap_or_default());
    let near = means.get(1..).unwrap_or_default();
    for (((pair, left), near), right) in row.as_chunks_mut::<2>().0.iter_mut().zip(left).zip(near).zip(right) {
        *pair = [3 * near + left - NEUTRAL, 3 * near + right - NEUTRAL];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plane of distinct samples with `density` times as many samples as the luma plane, rounded up.
    fn plane((width, height): (u32, u32), density: f64) -> ColorPlane {
        let data = (0..width * height).map(|n| (n * 37 % 251).to_le_bytes()[0]).collect();
        let samples = Pixels { width, height, channels: 1, data };
        ColorPlane { component: 1, samples, density: (density, density), max_density: (density, density) }
    }

    /// Linear interpolation at quarters of the distance between samples. Positions are relative to the center of the
    /// first sample.
    fn interpolated(plane: &Pixels, x: f64, y: f64) -> f64 {
        let sample = |x: f64, y: f64| {
            let at = |n: f64, length: u32| n.clamp(0.0, f64::from(length - 1)) as usize;
            f64::from(plane.data[at(y, plane.height) * plane.width as usize + at(x, plane.width)])
        };
        let quarters = |n: f64| (n, (n - n.floor()) * 4.0);
        let ((x, right), (y, below)) = (quarters(x), quarters(y));
        let (right, below) = (right.floor() / 4.0, below.floor() / 4.0);
        let row = |y: f64| (1.0 - right) * sample(x.floor(), y) + right * sample(x.floor() + 1.0, y);
        (1.0 - below) * row(y.floor()) + below * row(y.floor() + 1.0)
    }

    #[test]
    fn chroma_is_interpolated_for_every_density_and_range_of_columns() {
        for (density, size) in [(0.5, (10, 6)), (1.0, (20, 12)), (0.25, (5, 3)), (1.0 / 3.0, (7, 4)), (2.0, (40, 24))] {
            let (luma, chroma) = (plane((19, 11), 1.0), plane(size, density));
            let mut rows = Chroma::new(&chroma, &luma);
            for (y, columns) in
                (0..11).flat_map(|y| [0..19, 0..1, 1..19, 6..13, 7..12, 18..19].map(|columns| (y, columns)))
            {
                let row = rows.row(y, &columns);
                assert!(row.len() >= columns.len());
                for (made, x) in row.iter().zip(columns) {
                    let at = |n: usize| (n as f64 + 0.5) * density - 0.5;
                    let exact = (interpolated(&chroma.samples, at(x), at(y)) - 128.0) * 16.0;
                    assert!((f64::from(*made) - exact).abs() < 1e-6, "{density}, {x}, {y}: {made} instead of {exact}");
                }
            }
        }
    }
}
