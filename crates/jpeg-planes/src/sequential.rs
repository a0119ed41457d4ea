//! Scans of a sequential frame: whole blocks, straight into the planes (ITU-T T.81, section F.2).

use crate::bits::Bits;
use crate::component::{Component, Lane};
use crate::decode::{Frame, Scan, Tables, segments};
use crate::error::Error;
use crate::huffman::{END, OUT_OF_BLOCK, Table};
use crate::idct::Dequantizer;
use crate::segments::marker;

/// Decodes scans until every component has had one.
pub(crate) fn decode(frame: &mut Frame<'_>) -> Result<(), Error> {
    let mut segments = segments(frame)?;
    let mut missing = vec![true; frame.components.len()];
    let mut scans = 0;
    while missing.contains(&true) {
        let segment = segments.next()?;
        match segment.marker {
            marker::SOS => {}
            marker::EOI => return Err(Error::Truncated),
            _ => {
                frame.tables.read(&segment)?;
                continue;
            }
        }
        scans += 1;
        if scans > frame.options.limits.scans {
            return Err(Error::Limit { what: "scans", max: u64::from(frame.options.limits.scans) });
        }
        let scan = Scan::read(segment.body, frame.header)?;
        for (component, ..) in &scan.components {
            missing[*component] = false;
        }
        let end = decode_scan(frame, &scan, segments.position())?;
        if missing.contains(&true) {
            segments.seek(frame.scan_end(end));
        }
    }
    Ok(())
}

/// Decodes a scan whose data begin at `position`, and says where it ended.
fn decode_scan(frame: &mut Frame<'_>, scan: &Scan, position: usize) -> Result<usize, Error> {
    let lanes = lanes(frame, scan)?;
    let (across, down) = match lanes.as_slice() {
        [lane] => frame.components[lane.component].blocks,
        _ => frame.units(),
    };
    let restart_interval = frame.tables.restart_interval;
    let tables = std::mem::take(&mut frame.tables);
    let tables_of: Vec<_> = lanes.iter().map(|lane| tables_of(&tables, lane)).collect::<Result<_, _>>()?;
    let mut predictions = [0; 3];
    let mut bits = Bits::new(frame.data, position);
    let (mut left, mut restarts) = (restart_interval, 0_u8);
    for row in 0..down {
        frame.proceed()?;
        for column in 0..across {
            if restart_interval > 0 && left == 0 {
                bits.restart(restarts)?;
                (left, restarts, predictions) = (restart_interval, (restarts + 1) & 7, [0; 3]);
            }
            left = left.wrapping_sub(1);
            for ((lane, (dc, ac)), prediction) in lanes.iter().zip(&tables_of).zip(&mut predictions) {
                let component = &mut frame.components[lane.component];
                let (wide, high) = if lanes.len() == 1 { (1, 1) } else { component.unit };
                for y in 0..high {
                    for x in 0..wide {
                        let place = (column * wide + x, row * high + y);
                        bits = decode_block(bits, lane, dc, ac, prediction, component, place)?;
                    }
                }
            }
        }
        if bits.overrun() {
            return Err(Error::Truncated);
        }
    }
    frame.tables = tables;
    Ok(bits.position())
}

fn lanes(frame: &mut Frame<'_>, scan: &Scan) -> Result<Vec<Lane>, Error> {
    let mut lanes = Vec::with_capacity(scan.components.len());
    for &(component, dc_table, ac_table) in &scan.components {
        let quantizer = usize::from(frame.header.components[component].quantizer);
        let quantizers = frame.tables.quantizers[quantizer].ok_or(Error::Damaged("a quantization table is missing"))?;
        let scale = frame.components[component].scale;
        if scale.last_coefficient() < 63
            && let Some(table) = &mut frame.tables.ac[ac_table]
        {
            table.prepare_to_skip();
        }
        let dequantizer = Dequantizer::new(&quantizers, scale);
        lanes.push(Lane { component, dequantizer, dc_table, ac_table });
    }
    Ok(lanes)
}

fn tables_of<'a>(tables: &'a Tables, lane: &Lane) -> Result<(&'a Table, &'a Table), Error> {
    let missing = Error::Damaged("a Huffman table is missing");
    let dc = tables.dc[lane.dc_table].as_ref().ok_or(missing.clone())?;
    let ac = tables.ac[lane.ac_table].as_ref().ok_or(missing)?;
    Ok((dc, ac))
}

/// One block: its difference of DC, its coefficients as far as they are used, and the codes of the others passed over.
#[inline(always)]
fn decode_block<'a>(
    mut bits: Bits<'a>,
    lane: &Lane,
    dc: &Table,
    ac: &Table,
    prediction: &mut i32,
    component: &mut Component,
    (column, row): (usize, usize),
) -> Result<Bits<'a>, Error> {
    let mut block = [0.0_f32; 64];
    let last = component.scale.last_coefficient() as u32;
    bits.refill();
    let (step, difference) = dc.next(&mut bits);
    if step != 1 {
        return Err(Error::Damaged("a code that is none"));
    }
    *prediction = prediction.wrapping_add(difference);
    lane.dequantizer.put(&mut block, 0, *prediction);
    let mut k = 0;
    while k < last {
        bits.refill();
        let (step, value) = ac.next(&mut bits);
        k += step;
        if k > 63 {
            break;
        }
        lane.dequantizer.put(&mut block, k as usize, value);
    }
    if k < 63 {
        ac.skip_block(&mut bits, k)?;
    } else if k > 63 && !(END..END + 63 + 16).contains(&k) {
        return Err(OUT_OF_BLOCK);
    }
    component.put(&block, column, row);
    Ok(bits)
}
