//! Lists the scans of a progressive frame and selects those that the planes need.
//!
//! The rules for a component whose planes use the coefficients up to `last`:
//! - All of its DC scans are needed, at full precision.
//! - The first scan of a band is needed if the band contains a used coefficient, or a coefficient whose history a
//!   needed refinement reads.
//! - A refinement scan is needed if its band contains such a coefficient, unless this scan and all later ones refine
//!   only bits that may be omitted.
//! - Low bits may be omitted while the root mean square error of the samples in a block stays within the tolerance. A
//!   coefficient without its lowest `n` bits is off by less than `2^n` quantizer steps. The transform preserves the sum
//!   of squares (Parseval's theorem), so the sample error is the root of the squared sum over the used coefficients,
//!   divided by 8.

use planes::Error;

use crate::dct::ZIGZAG;
use crate::decode::frame::Frame;
use crate::decode::scan::{Scan, band_mask};
use crate::decode::tables::Tables;
use crate::marker;
use crate::options::Scale;

/// One scan of the frame.
#[derive(Debug)]
pub(super) struct ScriptedScan {
    pub(super) scan: Scan,
    /// Position after the data of the scan.
    pub(super) end: usize,
    /// True if the planes need this scan.
    pub(super) needed: bool,
}

/// The scans of a frame.
#[derive(Debug)]
pub(super) struct ScanScript {
    pub(super) scans: Vec<ScriptedScan>,
    /// True if the file has all scans of the coefficients that the planes use. Without an EOI marker, it must have all
    /// scans of the frame.
    pub(super) complete: bool,
    /// By component: true if a needed refinement scan depends on the set of nonzero coefficients.
    pub(super) needs_history: [bool; 4],
    /// By component and plane: the number of low bits of AC coefficients that the plane omits. The plane omits them
    /// even if they are decoded for another plane, so that its samples do not depend on the other planes.
    pub(super) omitted_bits: Vec<Vec<u32>>,
}

impl ScanScript {
    /// Finds the scans without decoding them, and selects the needed ones.
    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, Error> {
        let mut segments = frame.segments()?;
        let mut script =
            Self { scans: Vec::new(), complete: true, needs_history: [false; 4], omitted_bits: Vec::new() };
        let mut tables = Tables::default();
        let only_dc = frame.components.iter().all(|component| component.last_coefficient() == 0);
        let mut missing = vec![MissingBits::ALL; frame.components.len()];
        let mut has_end = true;
        while !(only_dc && missing.iter().all(|bits| bits.are_complete(0))) {
            let segment = match segments.next() {
                Err(Error::Truncated) => {
                    has_end = false;
                    break;
                }
                other => other?,
            };
            match segment.marker {
                marker::EOI => break,
                marker::DQT => tables.read(&segment)?,
                marker::SOS => {
                    let scan = Scan::read(segment.body, frame.header)?;
                    validate(&scan)?;
                    if script.scans.len() >= frame.options.limits.scans as usize {
                        return Err(Error::Limit { what: "scans", max: u64::from(frame.options.limits.scans) });
                    }
                    scan.components.iter().for_each(|component| missing[component.index].provide(&scan));
                    let end = frame.scan_end(segments.position());
                    segments.seek(end);
                    script.scans.push(ScriptedScan { scan, end, needed: false });
                }
                _ => {}
            }
        }
        script.complete = (frame.components.iter().zip(&missing))
            .all(|(component, bits)| bits.are_complete(if has_end { component.last_coefficient() } else { 63 }));
        for n in 0..frame.components.len() {
            script.select(frame, n, &tables);
        }
        Ok(script)
    }

    /// Marks the scans that component `n` needs, from the last scan to the first.
    fn select(&mut self, frame: &Frame<'_>, n: usize, tables: &Tables) {
        let component = &frame.components[n];
        let quantizers = tables.quantizers[usize::from(frame.header.components[n].quantizer)].unwrap_or([1; 64]);
        let omitted = |scale| omitted_bits(&quantizers, scale, frame.options.tolerance);
        let by_plane: Vec<u32> = component.planes.iter().map(|plane| omitted(plane.mode)).collect();
        let omitted_by_all = by_plane.iter().copied().min().unwrap_or(0);
        self.omitted_bits.push(by_plane);
        let mut needed = band_mask(1, component.last_coefficient() as u32);
        for entry in self.scans.iter_mut().rev() {
            let scan = &entry.scan;
            if !scan.components.iter().any(|component| component.index == n) {
                continue;
            }
            let is_refinement = scan.high > 0;
            let band = band_mask(scan.first, scan.last);
            if scan.first == 0 {
                entry.needed = true;
            } else if needed & band != 0 && (!is_refinement || scan.high > omitted_by_all) {
                entry.needed = true;
                if is_refinement {
                    needed |= band;
                    self.needs_history[n] = true;
                }
            }
        }
    }
}

/// The number of low bits of each coefficient of a component, by zigzag index, that no scan has provided yet.
#[derive(Debug, Clone)]
struct MissingBits([u32; 64]);

impl MissingBits {
    /// More bits than any scan omits.
    const ALL: Self = Self([16; 64]);

    /// Adds a valid scan of the component. A refinement of a bit whose predecessor is missing provides nothing.
    fn provide(&mut self, scan: &Scan) {
        let band = self.0.iter_mut().take(scan.last as usize + 1).skip(scan.first as usize);
        for bits in band.filter(|bits| scan.high == 0 || **bits == scan.high) {
            *bits = scan.low;
        }
    }

    /// True if no bit of the coefficients up to `last` is missing.
    fn are_complete(&self, last: usize) -> bool {
        self.0.iter().take(last + 1).all(|&bits| bits == 0)
    }
}

/// Number of low bits of AC coefficients that may be omitted.
fn omitted_bits(quantizers: &[u16; 64], scale: Scale, tolerance: f32) -> u32 {
    let points = scale.points() as u8;
    let used = (1..64).filter(|&k| ZIGZAG[k] / 8 < points && ZIGZAG[k] % 8 < points);
    let step = used.map(|k| f32::from(quantizers[k]).powi(2)).sum::<f32>().sqrt() / 8.0;
    let error = |bits: u32| ((1_u32 << bits) - 1) as f32 * step;
    (1..=13).take_while(|&bits| error(bits) <= tolerance).last().unwrap_or(0)
}

/// Checks ITU-T T.81, section G.1.1.1: no scan mixes DC and AC, AC scans have one component, and refinements add one
/// bit each.
fn validate(scan: &Scan) -> Result<(), Error> {
    let is_valid_band = if scan.first == 0 {
        scan.last == 0
    } else {
        scan.first <= scan.last && scan.last <= 63 && scan.components.len() == 1
    };
    if !is_valid_band || scan.low > 13 || (scan.high != 0 && scan.high != scan.low + 1) {
        return Err(Error::Damaged("invalid scan header"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_omitted_only_within_the_tolerance() {
        let fine = [8; 64];
        assert_eq!(omitted_bits(&fine, Scale::Quarter, 0.0), 0);
        // Three coefficients, each off by one step of 8: the error is sqrt(3) levels.
        assert_eq!(omitted_bits(&fine, Scale::Quarter, 1.7), 0);
        assert_eq!(omitted_bits(&fine, Scale::Quarter, 1.8), 1);
        // Fifteen coefficients, each off by one step of 8: the error is sqrt(15) levels.
        assert_eq!(omitted_bits(&fine, Scale::Half, 3.8), 0);
        assert_eq!(omitted_bits(&fine, Scale::Half, 3.9), 1);
        // Without its two lowest bits, each coefficient is off by up to three steps.
        assert_eq!(omitted_bits(&fine, Scale::Quarter, 5.3), 2);
    }
}
