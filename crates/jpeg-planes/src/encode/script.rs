//! The choice of the scans of a progressive file, and their Huffman codes.

use super::coefficients::Coefficients;
use super::entropy_encode::HuffmanCode;
use super::scans::{Bits, Scan};
use super::sink::{Counter, TABLES};

/// A scan, the Huffman codes that are optimal for it, and its size.
#[derive(Debug)]
pub(super) struct PlannedScan {
    pub(super) scan: Scan,
    pub(super) codes: [HuffmanCode; TABLES],
    /// Size with its tables and header, in bytes, without stuffing.
    bytes: u64,
}

impl PlannedScan {
    /// `None` if `should_continue` returned false.
    pub(super) fn new(scan: Scan, coefficients: &Coefficients, should_continue: &dyn Fn() -> bool) -> Option<Self> {
        let mut counter = Counter::new();
        scan.code(coefficients, should_continue, &mut counter)?;
        let codes = counter.frequencies.each_ref().map(HuffmanCode::optimal);
        let tables: u64 =
            codes.iter().filter(|code| !code.symbols.is_empty()).map(|code| 21 + code.symbols.len() as u64).sum();
        let bytes = counter.bytes(&codes) + tables + 10;
        Some(Self { scan, codes, bytes })
    }

    /// Size with its tables and header, in bytes, without stuffing.
    pub(super) fn bytes(&self) -> usize {
        self.bytes as usize
    }
}

/// Coefficients after which the AC coefficients of luma can be split in two scans.
const SPLITS: [u8; 3] = [2, 5, 9];

/// Chooses the scans with the fewest bytes. A picture appears in the order coarse luma, color, details, low bits.
pub(super) fn choose(coefficients: &Coefficients, should_continue: &dyn Fn() -> bool) -> Option<Vec<PlannedScan>> {
    let plan = |scan| PlannedScan::new(scan, coefficients, should_continue);
    let total = |scans: &[PlannedScan]| scans.iter().map(|scan| scan.bytes).sum::<u64>();

    let whole_dc = vec![plan(Scan::Dc(Bits::First { low: 0 }))?];
    let split_dc = vec![plan(Scan::Dc(Bits::First { low: 1 }))?, plan(Scan::Dc(Bits::Refinement { low: 0 }))?];
    let mut dc = if total(&split_dc) < total(&whole_dc) { split_dc } else { whole_dc };

    // The first scans and the refinements of each component.
    let mut components = Vec::new();
    for component in 0..coefficients.components.len() {
        components.push(choose_ac(component, &plan)?);
    }
    let mut scans = vec![dc.remove(0)];
    let (mut details, mut refinements) = (Vec::new(), dc);
    for (mut first, refined) in components {
        scans.push(first.remove(0));
        details.extend(first);
        refinements.extend(refined);
    }
    scans.extend(details);
    scans.extend(refinements);
    Some(scans)
}

/// The first scans of the AC coefficients of a component, and the refinements that follow them.
type AcScans = (Vec<PlannedScan>, Vec<PlannedScan>);

fn choose_ac(component: usize, plan: &dyn Fn(Scan) -> Option<PlannedScan>) -> Option<AcScans> {
    let total = |scans: &[PlannedScan]| scans.iter().map(|scan| scan.bytes).sum::<u64>();
    let ac = |first, last, bits| plan(Scan::Ac { component, first, last, bits });
    let mut first = vec![ac(1, 63, Bits::First { low: 0 })?];
    let mut refinements = Vec::new();
    for low in 1..=2 {
        let coarser = ac(1, 63, Bits::First { low })?;
        let refinement = ac(1, 63, Bits::Refinement { low: low - 1 })?;
        if coarser.bytes + refinement.bytes >= total(&first) {
            break;
        }
        first = vec![coarser];
        refinements.insert(0, refinement);
    }
    if component == 0 {
        let low = refinements.len() as u8;
        for split in SPLITS {
            let parts = vec![ac(1, split, Bits::First { low })?, ac(split + 1, 63, Bits::First { low })?];
            if total(&parts) < total(&first) {
                first = parts;
            }
        }
    }
    Some((first, refinements))
}
