//! A color component and its planes while they are decoded.

use planes::Error;

use crate::dct::LEVEL_SHIFT;
use crate::decode::idct::InverseDct;
use crate::header::Header;
use crate::options::{Plane, Scale, Scales};

/// A number of columns and rows of blocks (or of minimum coded units).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockGrid {
    pub(super) columns: usize,
    pub(super) rows: usize,
}

/// The position of a block in its component, in blocks.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPosition {
    pub(super) column: usize,
    pub(super) row: usize,
}

/// The block layout and the planes of a component.
#[derive(Debug)]
pub(super) struct Component {
    /// Blocks in one minimum coded unit of an interleaved scan.
    pub(super) unit: BlockGrid,
    /// Blocks that contain image samples. A non-interleaved scan codes exactly these.
    pub(super) blocks: BlockGrid,
    /// One plane per scale, in ascending order. At least one.
    pub(super) planes: Vec<Plane>,
}

impl Component {
    /// Allocates mid-gray planes.
    pub(super) fn new(header: &Header, n: usize, scales: Scales) -> Result<Self, Error> {
        let invalid = Error::Damaged("invalid component parameters");
        let sampling = header.sampling(n).ok_or(invalid.clone())?;
        let (columns, rows) = header.plane_size(n, Scale::Eighth).ok_or(invalid.clone())?;
        let mut planes = Vec::with_capacity(Scale::ALL.len());
        for scale in scales.iter() {
            let (width, height) = header.plane_size(n, scale).ok_or(invalid.clone())?;
            let data = vec![LEVEL_SHIFT; width as usize * height as usize];
            planes.push(Plane { component: n, mode: scale, width, height, data });
        }
        Ok(Self {
            unit: BlockGrid { columns: usize::from(sampling.horizontal), rows: usize::from(sampling.vertical) },
            blocks: BlockGrid { columns: columns as usize, rows: rows as usize },
            planes,
        })
    }

    /// Zigzag index of the last coefficient that any of the planes uses.
    pub(super) fn last_coefficient(&self) -> usize {
        self.planes.iter().map(|plane| plane.mode.last_coefficient()).max().unwrap_or(0)
    }
}

/// Transforms a block of dequantized coefficients and stores its samples in the plane. Samples outside of the plane are
/// dropped.
#[inline(always)]
pub(super) fn store_block<T: InverseDct<N, SIZE>, const N: usize, const SIZE: usize>(
    plane: &mut Plane,
    block: &[f32; SIZE],
    position: BlockPosition,
) {
    let samples = T::samples(block);
    let (width, height) = (plane.width as usize, plane.height as usize);
    let (x, y) = (position.column * N, position.row * N);
    if x + N <= width && y + N <= height {
        let mut at = y * width + x;
        for samples in samples {
            if let Some(target) = plane.data.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>()) {
                *target = samples;
            }
            at += width;
        }
        return;
    }
    let columns = width.saturating_sub(x).min(N);
    for (samples, y) in samples.iter().zip(y..height) {
        if let Some(target) = plane.data.get_mut(y * width + x..).and_then(|rest| rest.get_mut(..columns)) {
            target.copy_from_slice(&samples[..columns]);
        }
    }
}
