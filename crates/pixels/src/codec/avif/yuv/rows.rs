//! Rows of a coded picture, with as many samples of chroma as of luma.
//!
//! A sample of chroma lies in the middle of the pixels it stands for, and those in between are interpolated, as by
//! libjpeg and by libavif, whatever `av1C` says of its place: writers rarely know it.

use crate::error::Error;
use crate::yuv_image::{ChromaSubsampling, YuvImage, YuvSamples};

pub(super) struct Rows<'a> {
    coded: &'a YuvImage,
    samples: Vec<Vec<f32>>,
    near: Vec<f32>,
    far: Vec<f32>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(coded: &'a YuvImage) -> Self {
        let row = || vec![0.0; coded.width as usize];
        let chroma_width = coded.sampling.plane_size(1, (coded.width, coded.height)).0 as usize;
        let samples = (0..coded.sampling.planes()).map(|_| row()).collect();
        Self { coded, samples, near: vec![0.0; chroma_width], far: vec![0.0; chroma_width] }
    }

    /// Row `y` of each plane, at the levels that are coded.
    pub(super) fn read(&mut self, y: usize) -> Result<&mut [Vec<f32>], Error> {
        for (n, row) in self.samples.iter_mut().enumerate() {
            match self.coded.sampling {
                ChromaSubsampling::Cs422 if n > 0 => {
                    load(self.coded, n, y, &mut self.near)?;
                    widen(&self.near, row);
                }
                ChromaSubsampling::Cs420 if n > 0 => {
                    let last = (self.coded.height.div_ceil(2) as usize).saturating_sub(1);
                    let other = if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(last) };
                    load(self.coded, n, y / 2, &mut self.near)?;
                    load(self.coded, n, other, &mut self.far)?;
                    for (near, far) in self.near.iter_mut().zip(&self.far) {
                        *near = 0.75 * *near + 0.25 * far;
                    }
                    widen(&self.near, row);
                }
                _ => load(self.coded, n, y, row)?,
            }
        }
        Ok(&mut self.samples)
    }
}

/// Row `y` of plane `n`.
pub(super) fn load(coded: &YuvImage, n: usize, y: usize, row: &mut [f32]) -> Result<(), Error> {
    let width = coded.sampling.plane_size(n, (coded.width, coded.height)).0 as usize;
    let loaded = coded.planes.get(n).and_then(|plane| {
        let place = y.checked_mul(width)?..y.checked_add(1)?.checked_mul(width)?;
        match plane {
            YuvSamples::U8(samples) => {
                row.iter_mut().zip(samples.get(place)?).for_each(|(to, from)| *to = f32::from(*from));
            }
            YuvSamples::U16(samples) => {
                row.iter_mut().zip(samples.get(place)?).for_each(|(to, from)| *to = f32::from(*from));
            }
        }
        Some(())
    });
    loaded.ok_or_else(|| Error::Damaged { reason: "its planes are not of its size".to_owned() })
}

/// Two samples of each: three quarters of it and a quarter of the next one to either side.
fn widen(narrow: &[f32], wide: &mut [f32]) {
    let between = |left: f32, middle: f32, right: f32| [0.75 * middle + 0.25 * left, 0.75 * middle + 0.25 * right];
    let Some((first, last)) = narrow.first().zip(narrow.last()) else { return };
    // The first and the last have none beside them but themselves.
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
    // An odd row ends within the last pair.
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
    fn samples_between_are_nearer_to_the_nearer() {
        let widened = |narrow: &[f32], width| {
            let mut wide = vec![-1.0; width];
            widen(narrow, &mut wide);
            wide
        };
        assert_eq!(widened(&[8.0], 1), [8.0]);
        assert_eq!(widened(&[8.0], 2), [8.0, 8.0]);
        assert_eq!(widened(&[0.0, 8.0], 3), [0.0, 2.0, 6.0]);
        assert_eq!(widened(&[0.0, 8.0], 4), [0.0, 2.0, 6.0, 8.0]);
        assert_eq!(widened(&[0.0, 8.0, 4.0], 5), [0.0, 2.0, 6.0, 7.0, 5.0]);
        assert_eq!(widened(&[0.0, 8.0, 4.0], 6), [0.0, 2.0, 6.0, 7.0, 5.0, 4.0]);
    }
}
