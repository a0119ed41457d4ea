//! Rows of a coded picture, with as many samples of chroma as of luma.
//!
//! A sample of chroma lies in the middle of the pixels it stands for, and those in between are interpolated, as by
//! libjpeg and by libavif, whatever `av1C` says of its place: writers rarely know it.

use super::super::RenderError;
use super::super::coded::{Coded, Samples, Sampling};

pub(super) struct Rows<'a> {
    coded: &'a Coded,
    samples: Vec<Vec<f32>>,
    near: Vec<f32>,
    far: Vec<f32>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(coded: &'a Coded) -> Self {
        let row = || vec![0.0; coded.width as usize];
        let chroma_width = coded.sampling.plane_size(1, (coded.width, coded.height)).0 as usize;
        let samples = (0..coded.sampling.planes()).map(|_| row()).collect();
        Self { coded, samples, near: vec![0.0; chroma_width], far: vec![0.0; chroma_width] }
    }

    /// Row `y` of each plane, at the levels that are coded.
    pub(super) fn read(&mut self, y: usize) -> Result<&mut [Vec<f32>], RenderError> {
        for (n, row) in self.samples.iter_mut().enumerate() {
            match self.coded.sampling {
                Sampling::Narrowed if n > 0 => {
                    load(self.coded, n, y, &mut self.near)?;
                    widen(&self.near, row);
                }
                Sampling::Halved if n > 0 => {
                    let last = (self.coded.height.div_ceil(2) as usize).saturating_sub(1);
                    let other = if y % 2 == 0 { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(last) };
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
pub(super) fn load(coded: &Coded, n: usize, y: usize, row: &mut [f32]) -> Result<(), RenderError> {
    let width = coded.sampling.plane_size(n, (coded.width, coded.height)).0 as usize;
    let loaded = coded.planes.get(n).and_then(|plane| {
        let place = y.checked_mul(width)?..y.checked_add(1)?.checked_mul(width)?;
        match plane {
            Samples::Eight(samples) => {
                row.iter_mut().zip(samples.get(place)?).for_each(|(to, from)| *to = f32::from(*from));
            }
            Samples::More(samples) => {
                row.iter_mut().zip(samples.get(place)?).for_each(|(to, from)| *to = f32::from(*from));
            }
        }
        Some(())
    });
    loaded.ok_or_else(|| RenderError::Damaged { reason: "its planes are not of its size".to_owned() })
}

/// Two samples of each: three quarters of it and a quarter of the next one to either side.
fn widen(narrow: &[f32], wide: &mut [f32]) {
    let last = narrow.len().saturating_sub(1);
    for (n, (pair, middle)) in wide.chunks_mut(2).zip(narrow).enumerate() {
        let (left, right) = (narrow[n.saturating_sub(1)], narrow[(n + 1).min(last)]);
        let samples = [0.75 * middle + 0.25 * left, 0.75 * middle + 0.25 * right];
        pair.iter_mut().zip(samples).for_each(|(to, from)| *to = from);
    }
}
