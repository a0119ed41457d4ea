//! The quantized coefficients of a whole picture, which several scans code.

use planes::PlaneRef;

use super::fdct::forward_dct;
use super::symbols::{COLUMN_MAJOR_ZIGZAG, block_samples, factors, quantize};
use crate::dct::Lanes;

/// Quantized coefficients in zigzag order.
pub(super) type Block = [i16; 64];

/// The coefficients of all components.
#[derive(Debug)]
pub(super) struct Coefficients {
    /// One component, or luma and two components of chroma.
    pub(super) components: Vec<Component>,
    /// Minimum coded units of an interleaved scan in each direction.
    pub(super) units: (usize, usize),
}

/// The blocks of one component.
#[derive(Debug)]
pub(super) struct Component {
    /// Blocks per minimum coded unit in each direction.
    pub(super) unit_blocks: usize,
    /// Blocks per row that contain samples of the plane. Only these are in scans of one component.
    columns: usize,
    /// Rows of blocks that contain samples of the plane.
    rows: usize,
    /// Blocks per row including those that complete the last unit.
    stride: usize,
    /// All blocks, row by row.
    blocks: Vec<Block>,
}

impl Coefficients {
    /// Zero coefficients for planes. `luma_blocks` is the number of luma blocks per minimum coded unit in each direction.
    pub(super) fn new(planes: &[PlaneRef<'_>], luma_blocks: usize) -> Self {
        let units_of = |side: u32| (side as usize).div_ceil(8 * luma_blocks);
        let units = (units_of(planes[0].width), units_of(planes[0].height));
        let component = |(n, plane): (usize, &PlaneRef<'_>)| {
            let unit_blocks = if n == 0 { luma_blocks } else { 1 };
            let stride = units.0 * unit_blocks;
            Component {
                unit_blocks,
                columns: (plane.width as usize).div_ceil(8),
                rows: (plane.height as usize).div_ceil(8),
                stride,
                blocks: vec![[0; 64]; stride * units.1 * unit_blocks],
            }
        };
        Self { components: planes.iter().enumerate().map(component).collect(), units }
    }

    /// Coefficients rounded to nearest. `quantizers` are row by row. `None` if `should_continue` returned false.
    pub(super) fn rounded(
        planes: &[PlaneRef<'_>],
        luma_blocks: usize,
        quantizers: &[[u8; 64]; 2],
        should_continue: &dyn Fn() -> bool,
    ) -> Option<Self> {
        let factors = quantizers.each_ref().map(factors);
        let mut coefficients = Self::new(planes, luma_blocks);
        coefficients.fill(planes, should_continue, |n, samples| {
            let block = quantize(forward_dct(samples), &factors[n.min(1)]);
            COLUMN_MAJOR_ZIGZAG.map(|index| block[usize::from(index & 63)])
        })?;
        Some(coefficients)
    }

    /// Sets each block to the result of `quantize`, whose arguments are the index of the component and the level-shifted
    /// samples. `None` if `should_continue` returned false before a row of blocks.
    pub(super) fn fill(
        &mut self,
        planes: &[PlaneRef<'_>],
        should_continue: &dyn Fn() -> bool,
        mut quantize: impl FnMut(usize, [Lanes<8>; 8]) -> Block,
    ) -> Option<()> {
        for (n, (component, plane)) in self.components.iter_mut().zip(planes).enumerate() {
            let stride = component.stride;
            for (y, row) in component.blocks.chunks_exact_mut(stride).enumerate() {
                if !should_continue() {
                    return None;
                }
                for (x, block) in row.iter_mut().enumerate() {
                    *block = quantize(n, block_samples(plane, x, y));
                }
            }
        }
        Some(())
    }

    /// Calls `code` for each block of an interleaved scan with the index of its component. `None` if `should_continue`
    /// returned false before a row of units.
    pub(super) fn interleaved(
        &self,
        should_continue: &dyn Fn() -> bool,
        mut code: impl FnMut(usize, &Block),
    ) -> Option<()> {
        for row in 0..self.units.1 {
            if !should_continue() {
                return None;
            }
            for column in 0..self.units.0 {
                for (n, component) in self.components.iter().enumerate() {
                    let side = component.unit_blocks;
                    for index in 0..side * side {
                        let (x, y) = (column * side + index % side, row * side + index / side);
                        code(n, &component.blocks[y * component.stride + x]);
                    }
                }
            }
        }
        Some(())
    }
}

impl Component {
    /// Calls `code` for each block of a scan of this component only. `None` if `should_continue` returned false before a
    /// row of blocks.
    pub(super) fn alone(&self, should_continue: &dyn Fn() -> bool, mut code: impl FnMut(&Block)) -> Option<()> {
        for row in self.blocks.chunks_exact(self.stride).take(self.rows) {
            if !should_continue() {
                return None;
            }
            row[..self.columns].iter().for_each(&mut code);
        }
        Some(())
    }
}
