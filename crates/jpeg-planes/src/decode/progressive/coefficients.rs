//! Storage for the coefficients of a component between scans.

use crate::decode::component::{BlockGrid, Component};

/// The coefficients of one component, up to the last one that its planes use.
#[derive(Debug)]
pub(in crate::decode) struct CoefficientStore {
    /// Blocks per row, including the padding of the last unit.
    pub(in crate::decode) columns: usize,
    /// Stored coefficients per block, in zigzag order.
    pub(in crate::decode) per_block: usize,
    pub(in crate::decode) coefficients: Vec<i16>,
    /// One bit mask of the nonzero coefficients per block, including those that are not stored. Decoding a refinement
    /// scan depends on it. Empty if no needed scan is an AC refinement.
    pub(in crate::decode) history: Vec<u64>,
    /// The quantization table at the component's first scan, in zigzag order.
    pub(super) quantizers: Option<[u16; 64]>,
}

impl CoefficientStore {
    pub(super) fn new(component: &Component, units: BlockGrid, has_history: bool) -> Self {
        let (columns, rows) = (units.columns * component.unit.columns, units.rows * component.unit.rows);
        let per_block = component.last_coefficient() + 1;
        Self {
            columns,
            per_block,
            coefficients: vec![0; columns * rows * per_block],
            history: vec![0; if has_history { columns * rows } else { 0 }],
            quantizers: None,
        }
    }
}
