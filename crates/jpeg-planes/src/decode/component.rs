//! A component on its way to being planes.

use crate::decode::idct::{Dequantizer, Transform};
use crate::error::Error;
use crate::header::Header;
use crate::{Plane, Scale, Scales};

/// Where a component's blocks lie, and the planes that they become.
#[derive(Debug)]
pub(crate) struct Component {
    /// Blocks a minimum coded unit of an interleaved scan, across and down.
    pub(crate) unit: (usize, usize),
    /// Blocks across and down that hold a part of the picture: those of a scan of this component alone.
    pub(crate) blocks: (usize, usize),
    /// One a scale, the smallest first; at least one.
    pub(crate) planes: Vec<Plane>,
}

impl Component {
    /// With planes of mid-grey.
    pub(crate) fn new(header: &Header, n: usize, scales: Scales) -> Result<Self, Error> {
        let impossible = Error::Damaged("an impossible component");
        let sampling = header.sampling(n).ok_or(impossible.clone())?;
        let (across, down) = header.plane_size(n, Scale::Eighth).ok_or(impossible.clone())?;
        let mut planes = Vec::with_capacity(Scale::ALL.len());
        for scale in scales.iter() {
            let (width, height) = header.plane_size(n, scale).ok_or(impossible.clone())?;
            planes.push(Plane {
                component: n,
                scale,
                width,
                height,
                data: vec![128; width as usize * height as usize],
            });
        }
        let unit = (usize::from(sampling.horizontal), usize::from(sampling.vertical));
        Ok(Self { unit, blocks: (across as usize, down as usize), planes })
    }

    /// The last coefficient, in zigzag order, that any of the planes is made of.
    pub(crate) fn last_coefficient(&self) -> usize {
        self.planes.iter().map(|plane| plane.scale.last_coefficient()).max().unwrap_or(0)
    }
}

impl Plane {
    /// Transforms a block and puts it in its place; what lies outside of the picture is dropped.
    #[inline(always)]
    pub(crate) fn put<T: Transform<N, SIZE>, const N: usize, const SIZE: usize>(
        &mut self,
        block: &[f32; SIZE],
        (column, row): (usize, usize),
    ) {
        let samples = T::samples(block);
        let (width, height) = (self.width as usize, self.height as usize);
        let (x, y) = (column * N, row * N);
        if x + N <= width && y + N <= height {
            let mut at = y * width + x;
            for samples in samples {
                if let Some(place) = self.data.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
                    *place = samples;
                }
                at += width;
            }
            return;
        }
        let across = width.saturating_sub(x).min(N);
        for (samples, y) in samples.iter().zip(y..height) {
            if let Some(place) = self.data.get_mut(y * width + x..).and_then(|rest| rest.get_mut(..across)) {
                place.copy_from_slice(&samples[..across]);
            }
        }
    }
}

/// A component as a scan needs it: how its values become samples, and which tables code them.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    /// Which component of the frame.
    pub(crate) component: usize,
    /// One a plane.
    pub(crate) dequantizers: Vec<Dequantizer>,
    pub(crate) dc_table: usize,
    pub(crate) ac_table: usize,
}
