//! Reads rows of an image with upsampled chroma.
//!
//! Chroma samples are assumed to lie in the center of their pixels, and are interpolated linearly, as in libjpeg and
//! libavif. The chroma sample position in `av1C` is ignored, because writers rarely set it correctly.

use crate::error::Error;
use crate::yuv_image::{ChromaSubsampling, YuvImage, YuvSamples};

pub(super) struct Rows<'a> {
    image: &'a YuvImage,
    samples: Vec<Vec<f32>>,
    near: Vec<f32>,
    far: Vec<f32>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(image: &'a YuvImage) -> Self {
        let row = || vec![0.0; image.width as usize];
        let chroma_width = image.sampling.plane_size(1, (image.width, image.height)).0 as usize;
        let samples = (0..image.sampling.planes()).map(|_| row()).collect();
        Self { image, samples, near: vec![0.0; chroma_width], far: vec![0.0; chroma_width] }
    }

    /// Reads row `y` of all planes, as unscaled sample values.
    pub(super) fn read(&mut self, y: usize) -> Result<&mut [Vec<f32>], Error> {
        for (n, row) in self.samples.iter_mut().enumerate() {
            match self.image.sampling {
                ChromaSubsampling::Cs422 if n > 0 => {
                    load(self.image, n, y, &mut self.near)?;
                    upsample(&self.near, row);
                }
                ChromaSubsampling::Cs420 if n > 0 => {
                    let last = (self.image.height.div_ceil(2) as usize).saturating_sub(1);
                    let other = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(last) };
                    load(self.image, n, y / 2, &mut self.near)?;
                    load(self.image, n, other, &mut self.far)?;
                    for (near, far) in self.near.iter_mut().zip(&self.far) {
                        *near = 0.75 * *near + 0.25 * far;
                    }
                    upsample(&self.near, row);
                }
                _ => load(self.image, n, y, row)?,
            }
        }
        Ok(&mut self.samples)
    }
}

/// Reads row `y` of plane `n`.
pub(super) fn load(image: &YuvImage, n: usize, y: usize, row: &mut [f32]) -> Result<(), Error> {
    let width = image.sampling.plane_size(n, (image.width, image.height)).0 as usize;
    let loaded = image.planes.get(n).and_then(|plane| {
        let range = y.checked_mul(width)?..y.checked_add(1)?.checked_mul(width)?;
        match plane {
            YuvSamples::U8(samples) => {
                row.iter_mut().zip(samples.get(range)?).for_each(|(to, from)| *to = f32::from(*from));
            }
            YuvSamples::U16(samples) => {
                row.iter_mut().zip(samples.get(range)?).for_each(|(to, from)| *to = f32::from(*from));
            }
        }
        Some(())
    });
    loaded.ok_or_else(|| Error::Damaged { reason: "a plane has the wrong size".to_owned() })
}

/// Doubles the width by linear interpolation: each output sample is three quarters of its input sample and a quarter of
/// the neighbor.
fn upsample(narrow: &[f32], wide: &mut [f32]) {
    let between = |left: f32, middle: f32, right: f32| [0.75 * middle + 0.25 * left, 0.75 * middle + 0.25 * right];
    let Some((first, last)) = narrow.first().zip(narrow.last()) else { return };
    // The first and the last sample have only one neighbor.
    let ends = [between(*first, *first, *narrow.get(1).unwrap_or(first)), {
        let before = narrow.len().checked_sub(2).and_then(|n| narrow.get(n));
        between(*before.unwrap_or(last), *last, *last)
    }];
    let (pairs, rest) = wide.as_chunks_mut::<2>();
    for (pair, middle) in pairs.iter_mut().skip(1).zip(narrow.array_windows::<3>()) {
        *pair = between(middle[0], middle[1], middle[2]);
    }
    if let Some(pair) = pairs.first_mut() {
        *pair = ends[0];
    }
    // A row of odd length ends within the last pair.
    match rest.first_mut() {
        Some(sample) => *sample = ends[1][0],
        None => {
            if let Some(pair) = pairs.last_mut().filter(|_| narrow.len() > 1) {
                *pair = ends[1];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upsampling_interpolates_linearly() {
        let upsampled = |narrow: &[f32], width| {
            let mut wide = vec![-1.0; width];
            upsample(narrow, &mut wide);
            wide
        };
        assert_eq!(upsampled(&[8.0], 1), [8.0]);
        assert_eq!(upsampled(&[8.0], 2), [8.0, 8.0]);
        assert_eq!(upsampled(&[0.0, 8.0], 3), [0.0, 2.0, 6.0]);
        assert_eq!(upsampled(&[0.0, 8.0], 4), [0.0, 2.0, 6.0, 8.0]);
        assert_eq!(upsampled(&[0.0, 8.0, 4.0], 5), [0.0, 2.0, 6.0, 7.0, 5.0]);
        assert_eq!(upsampled(&[0.0, 8.0, 4.0], 6), [0.0, 2.0, 6.0, 7.0, 5.0, 4.0]);
    }
}
