//! Which scans a progressive frame has, and which of them the planes need.
//!
//! The rules, for a component whose transform uses the coefficients up to `last`:
//! - all its scans of DC are needed, up to full precision;
//! - a first scan of a band is needed if the band has a used coefficient, or one whose history a needed refinement reads;
//! - a refinement is needed if its band has such a coefficient, unless all the bits from it on may be left out;
//! - bits may be left out while they can move the samples of a block by at most the tolerance, as a root of mean squares. A
//!   coefficient that lacks its lowest `n` bits is off by less than `2^n` quantiser steps, and the transform keeps the sum of
//!   squares (Parseval), so that the samples are off by the root of the sum over the used coefficients, over 8.

use crate::Scale;
use crate::decode::idct::ZIGZAG;
use crate::decode::{Frame, Scan, Tables, segments};
use crate::error::Error;
use crate::segments::marker;

/// A scan, where its data lie, and whether they are needed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) scan: Scan,
    pub(crate) end: usize,
    pub(crate) wanted: bool,
}

/// What a walk over the file has found.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) entries: Vec<Entry>,
    /// Whether the walk ended at the end of the picture, or where nothing more is needed, rather than of the bytes.
    pub(crate) complete: bool,
    /// By component: whether a wanted refinement reads which coefficients were not zero.
    pub(crate) history: [bool; 3],
    /// By component, a number a plane: how many of the lowest bits of AC coefficients it goes without. They are not used
    /// even where another plane has them decoded: a plane is the same in any company.
    pub(crate) left_out: Vec<Vec<u32>>,
}

impl Script {
    /// Walks over the scans without decoding them, and judges them.
    pub(crate) fn read(frame: &Frame<'_>) -> Result<Self, Error> {
        let mut segments = segments(frame)?;
        let mut script = Self { entries: Vec::new(), complete: true, history: [false; 3], left_out: Vec::new() };
        let mut tables = Tables::default();
        let only_dc = frame.components.iter().all(|component| component.last_coefficient() == 0);
        // By component: bits of DC still to come; 14 is all of them.
        let mut dc_left = vec![14; frame.components.len()];
        while !(only_dc && dc_left.iter().all(|&bits| bits == 0)) {
            let segment = match segments.next() {
                Err(Error::Truncated) => {
                    script.complete = false;
                    break;
                }
                other => other?,
            };
            match segment.marker {
                marker::EOI => break,
                marker::DQT => tables.read(&segment)?,
                marker::SOS => {
                    let scan = Scan::read(segment.body, frame.header)?;
                    check(&scan)?;
                    if script.entries.len() >= frame.options.limits.scans as usize {
                        return Err(Error::Limit { what: "scans", max: u64::from(frame.options.limits.scans) });
                    }
                    if scan.band.0 == 0 {
                        scan.components.iter().for_each(|(n, ..)| dc_left[*n] = scan.approximation.1);
                    }
                    let end = frame.scan_end(segments.position());
                    segments.seek(end);
                    script.entries.push(Entry { scan, end, wanted: false });
                }
                _ => {}
            }
        }
        script.judge(frame, &tables);
        Ok(script)
    }

    fn judge(&mut self, frame: &Frame<'_>, tables: &Tables) {
        for (n, component) in frame.components.iter().enumerate() {
            let quantizers = tables.quantizers[usize::from(frame.header.components[n].quantizer)].unwrap_or([1; 64]);
            let of_plane = |scale| bits_left_out(&quantizers, scale, frame.options.tolerance);
            let by_plane: Vec<u32> = component.planes.iter().map(|plane| of_plane(plane.scale)).collect();
            let left_out = by_plane.iter().copied().min().unwrap_or(0);
            self.left_out.push(by_plane);
            // The band up to the last used coefficient, without DC.
            let mut needed = band(1, component.last_coefficient() as u32);
            for entry in self.entries.iter_mut().rev() {
                let scan = &entry.scan;
                if !scan.components.iter().any(|(component, ..)| *component == n) {
                    continue;
                }
                let refines = scan.approximation.0 > 0;
                let own = band(scan.band.0, scan.band.1);
                if scan.band.0 == 0 {
                    entry.wanted = true;
                } else if needed & own != 0 && (!refines || scan.approximation.0 > left_out) {
                    entry.wanted = true;
                    if refines {
                        needed |= own;
                        self.history[n] = true;
                    }
                }
            }
        }
    }
}

/// The bits of the coefficients `first` to `last`; none if there are none.
pub(crate) fn band(first: u32, last: u32) -> u64 {
    if first > last { 0 } else { (u64::MAX >> (63 - (last - first))) << first }
}

/// How many of the lowest bits of AC coefficients may be left out.
fn bits_left_out(quantizers: &[u16; 64], scale: Scale, tolerance: f32) -> u32 {
    let points = scale.points() as u8;
    let used = (1..64).filter(|&k| ZIGZAG[k] / 8 < points && ZIGZAG[k] % 8 < points);
    let step = used.map(|k| f32::from(quantizers[k]).powi(2)).sum::<f32>().sqrt() / 8.0;
    let off = |bits: u32| ((1_u32 << bits) - 1) as f32 * step;
    (1..=13).take_while(|&bits| off(bits) <= tolerance).last().unwrap_or(0)
}

/// Section G.1.1.1: DC and AC are never in one scan, AC scans have one component, bits come one at a time.
fn check(scan: &Scan) -> Result<(), Error> {
    let ((first, last), (high, low)) = (scan.band, scan.approximation);
    let band = if first == 0 { last == 0 } else { first <= last && last <= 63 && scan.components.len() == 1 };
    if !band || low > 13 || (high != 0 && high != low + 1) {
        return Err(Error::Damaged("an impossible scan header"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bands_are_the_bits_of_their_coefficients() {
        assert_eq!(band(1, 0), 0);
        assert_eq!(band(1, 4), 0b11110);
        assert_eq!(band(0, 63), u64::MAX);
        assert_eq!(band(63, 63), 1 << 63);
    }

    #[test]
    fn bits_are_left_out_only_while_they_cannot_show() {
        let fine = [8; 64];
        assert_eq!(bits_left_out(&fine, Scale::Quarter, 0.0), 0);
        // Three coefficients, each off by one step of 8: the root of 3 levels.
        assert_eq!(bits_left_out(&fine, Scale::Quarter, 1.7), 0);
        assert_eq!(bits_left_out(&fine, Scale::Quarter, 1.8), 1);
        // And of fifteen.
        assert_eq!(bits_left_out(&fine, Scale::Half, 3.8), 0);
        assert_eq!(bits_left_out(&fine, Scale::Half, 3.9), 1);
        // By three steps with two bits.
        assert_eq!(bits_left_out(&fine, Scale::Quarter, 5.3), 2);
    }
}
