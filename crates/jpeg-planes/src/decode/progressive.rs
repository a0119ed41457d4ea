//! Decodes the scans of a progressive frame (ITU-T T.81, annex G).
//!
//! The scans fill a [`CoefficientStore`] per component, which becomes planes after the last needed scan.

use planes::{Error, Incomplete};

use crate::decode::arithmetic;
use crate::decode::frame::Frame;
use crate::decode::scan_script::ScanScript;
use crate::marker;
pub(super) use coefficients::CoefficientStore;
use scan_decoder::decode_scan;

mod coefficients;
mod output;
mod refinement;
mod scan_decoder;

/// Decodes the needed scans. Even after an error, the planes receive all coefficients decoded so far.
pub(super) fn decode(frame: &mut Frame<'_>) -> Result<(), Error> {
    let script = ScanScript::read(frame)?;
    if !script.complete && frame.options.incomplete == Incomplete::Refuse {
        return Err(Error::Truncated);
    }
    let units = frame.units();
    let mut stores: Vec<CoefficientStore> = (frame.components.iter().zip(script.needs_history))
        .map(|(component, has_history)| CoefficientStore::new(component, units, has_history))
        .collect();
    let result = decode_scans(frame, &script, &mut stores);
    if let Err(error @ (Error::Cancelled | Error::Limit { .. })) = result {
        return Err(error);
    }
    for (n, store) in stores.iter().enumerate() {
        let omitted_bits = script.omitted_bits.get(n).map_or(&[][..], Vec::as_slice);
        output::fill_planes(frame, n, store, omitted_bits)?;
    }
    result
}

fn decode_scans(frame: &mut Frame<'_>, script: &ScanScript, stores: &mut [CoefficientStore]) -> Result<(), Error> {
    let mut segments = frame.segments()?;
    let count = script.scans.iter().rposition(|entry| entry.needed).map_or(0, |last| last + 1);
    for entry in &script.scans[..count] {
        let position = loop {
            let segment = segments.next()?;
            if segment.marker == marker::SOS {
                break segments.position();
            }
            frame.tables.read(&segment)?;
        };
        segments.seek(entry.end);
        for component in &entry.scan.components {
            let store = &mut stores[component.index];
            if store.quantizers.is_none() {
                let quantizer = frame.header.components[component.index].quantizer;
                store.quantizers = frame.tables.quantizers[usize::from(quantizer)];
            }
        }
        if entry.needed && frame.header.arithmetic {
            arithmetic::decode_progressive(frame, &entry.scan, position, stores)?;
        } else if entry.needed {
            decode_scan(frame, &entry.scan, position, stores)?;
        }
    }
    if stores.iter().any(|store| store.quantizers.is_none()) {
        return Err(Error::Damaged("a component without a scan"));
    }
    Ok(())
}
