//! A component on its way to being a plane.

use crate::error::Error;
use crate::header::Header;
use crate::idct::{self, Dequantizer};
use crate::{Plane, Scale};

/// Where a component's blocks lie, and the plane that they become.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) scale: Scale,
    /// Blocks a minimum coded unit of an interleaved scan, across and down.
    pub(crate) unit: (usize, usize),
    /// Blocks across and down that hold a part of the picture: those of a scan of this component alone.
    pub(crate) blocks: (usize, usize),
    pub(crate) plane: Plane,
}

impl Component {
    /// With a plane of mid-grey.
    pub(crate) fn new(header: &Header, n: usize, scale: Scale) -> Result<Self, Error> {
        let impossible = Error::Damaged("an impossible component");
        let sampling = header.sampling(n).ok_or(impossible.clone())?;
        let (width, height) = header.plane_size(n, scale).ok_or(impossible.clone())?;
        let (across, down) = header.plane_size(n, Scale::Eighth).ok_or(impossible)?;
        Ok(Self {
            scale,
            unit: (usize::from(sampling.horizontal), usize::from(sampling.vertical)),
            blocks: (across as usize, down as usize),
            plane: Plane { width, height, data: vec![128; width as usize * height as usize] },
        })
    }

    /// Transforms a block and puts it in its place; what lies outside of the picture is dropped.
    #[inline(always)]
    pub(crate) fn put(&mut self, block: &[f32; 64], column: usize, row: usize) {
        match self.scale {
            Scale::Eighth => self.put_samples([[idct::eighth(block)]], column, row),
            Scale::Quarter => self.put_samples(idct::quarter(block), column, row),
            Scale::Half => self.put_samples(idct::half(block), column, row),
            Scale::Whole => self.put_samples(idct::whole(block), column, row),
        }
    }

    #[inline(always)]
    fn put_samples<const N: usize>(&mut self, samples: [[u8; N]; N], column: usize, row: usize) {
        let (width, height) = (self.plane.width as usize, self.plane.height as usize);
        let (x, y) = (column * N, row * N);
        if x + N <= width && y + N <= height {
            let mut at = y * width + x;
            for samples in samples {
                if let Some(place) = self.plane.data.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
                    *place = samples;
                }
                at += width;
            }
            return;
        }
        let across = width.saturating_sub(x).min(N);
        for (samples, y) in samples.iter().zip(y..height) {
            if let Some(place) = self.plane.data.get_mut(y * width + x..).and_then(|rest| rest.get_mut(..across)) {
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
    pub(crate) dequantizer: Dequantizer,
    pub(crate) dc_table: usize,
    pub(crate) ac_table: usize,
}
