//! Scans of a progressive frame (ITU-T T.81, annex G), and the planes from what they have added up to.
//!
//! Of each block only the coefficients up to the last used one are kept, and where refinements are decoded one bit for
//! each of the 64 that says whether it has been other than zero: that is all that the codes of a refinement depend on.

use crate::decode::bit_reader::Bits;
use crate::decode::huffman::{END, INVALID, OUT_OF_BLOCK, Table};
use crate::decode::idct::{Dequantizer, Eighth, Half, Quarter, Transform, Whole};
use crate::decode::scan_script::{Script, band};
use crate::decode::{Frame, Scan, segments};
use crate::error::Error;
use crate::segments::marker;
use crate::{Plane, Scale};

/// The coefficients of one component.
#[derive(Debug)]
struct Store {
    /// Blocks across, with those that only fill units.
    across: usize,
    /// Coefficients kept of each block, in zigzag order.
    kept: usize,
    coefficients: Vec<i16>,
    /// A bit a coefficient that is not zero; empty where nobody reads it.
    history: Vec<u64>,
    /// As they were at the component's first scan, in zigzag order.
    quantizers: Option<[u16; 64]>,
}

/// Decodes the scans that are needed, and makes planes of what there is even if not all of it was there.
pub(crate) fn decode(frame: &mut Frame<'_>) -> Result<(), Error> {
    let script = Script::read(frame)?;
    if !script.complete && frame.options.incomplete == crate::Incomplete::Refuse {
        return Err(Error::Truncated);
    }
    let units = frame.units();
    let mut stores: Vec<Store> = (frame.components.iter().zip(script.history))
        .map(|(component, history)| {
            let (across, down) = (units.0 * component.unit.0, units.1 * component.unit.1);
            let kept = component.last_coefficient() + 1;
            Store {
                across,
                kept,
                coefficients: vec![0; across * down * kept],
                history: vec![0; if history { across * down } else { 0 }],
                quantizers: None,
            }
        })
        .collect();
    let decoded = decode_scans(frame, &script, &mut stores);
    if let Err(error @ (Error::Cancelled | Error::Limit { .. })) = decoded {
        return Err(error);
    }
    for (n, store) in stores.iter().enumerate() {
        make_planes(frame, n, store, script.left_out.get(n).map_or(&[][..], Vec::as_slice))?;
    }
    decoded
}

fn decode_scans(frame: &mut Frame<'_>, script: &Script, stores: &mut [Store]) -> Result<(), Error> {
    let mut segments = segments(frame)?;
    let last_wanted = script.entries.iter().rposition(|entry| entry.wanted).map_or(0, |last| last + 1);
    for entry in &script.entries[..last_wanted] {
        let position = loop {
            let segment = segments.next()?;
            if segment.marker == marker::SOS {
                break segments.position();
            }
            frame.tables.read(&segment)?;
        };
        segments.seek(entry.end);
        for &(n, ..) in &entry.scan.components {
            if stores[n].quantizers.is_none() {
                stores[n].quantizers = frame.tables.quantizers[usize::from(frame.header.components[n].quantizer)];
            }
        }
        if entry.wanted {
            decode_scan(frame, &entry.scan, position, stores)?;
        }
    }
    if stores.iter().any(|store| store.quantizers.is_none()) {
        return Err(Error::Damaged("a component without a scan"));
    }
    Ok(())
}

fn decode_scan(frame: &Frame<'_>, scan: &Scan, position: usize, stores: &mut [Store]) -> Result<(), Error> {
    let mut reader = Reader {
        frame,
        bits: Bits::new(frame.data, position),
        interval: frame.tables.restart_interval,
        left: frame.tables.restart_interval,
        restarts: 0,
    };
    match (scan.band.0, scan.approximation.0, scan.components.as_slice()) {
        (0, 0, _) => reader.first_dc(scan, stores),
        (0, ..) => reader.refine_dc(scan, stores),
        (_, high, &[(n, _, ac)]) => {
            let table = frame.tables.ac[ac].as_ref().ok_or(Error::Damaged("a Huffman table is missing"))?;
            let blocks = frame.components[n].blocks;
            let store = &mut stores[n];
            if high == 0 {
                reader.first_ac(scan, table, blocks, store)
            } else {
                reader.refine_ac(scan, table, blocks, store)
            }
        }
        _ => Err(Error::Damaged("an impossible scan header")),
    }
}

/// The bits of a scan, and its restarts.
struct Reader<'f, 'a> {
    frame: &'f Frame<'a>,
    bits: Bits<'a>,
    interval: usize,
    left: usize,
    restarts: u8,
}

impl Reader<'_, '_> {
    /// Whether a unit begins behind a restart, which is then passed.
    #[inline(always)]
    fn restarted(&mut self) -> Result<bool, Error> {
        if self.interval == 0 {
            return Ok(false);
        }
        let due = self.left == 0;
        if due {
            self.bits.restart(self.restarts)?;
            (self.left, self.restarts) = (self.interval, (self.restarts + 1) & 7);
        }
        self.left -= 1;
        Ok(due)
    }

    fn end_row(&self) -> Result<(), Error> {
        if self.bits.overrun() { Err(Error::Truncated) } else { self.frame.proceed() }
    }

    /// Calls `block` for every block of a scan of DC, with the place of its component in the scan and of its first
    /// coefficient in the store; and `restart` where predictions begin anew.
    fn dc_blocks(
        &mut self,
        scan: &Scan,
        stores: &mut [Store],
        mut block: impl FnMut(&mut Bits<'_>, usize, &mut i16, bool) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let alone = scan.components.len() == 1;
        let (across, down) = match scan.components.as_slice() {
            &[(n, ..)] => self.frame.components[n].blocks,
            _ => self.frame.units(),
        };
        for row in 0..down {
            for column in 0..across {
                let mut restarted = self.restarted()?;
                for (lane, &(n, ..)) in scan.components.iter().enumerate() {
                    let (wide, high) = if alone { (1, 1) } else { self.frame.components[n].unit };
                    let store = &mut stores[n];
                    for index in 0..wide * high {
                        let (x, y) = (column * wide + index % wide, row * high + index / wide);
                        let at = (y * store.across + x) * store.kept;
                        let place = store.coefficients.get_mut(at).ok_or(OUT_OF_BLOCK)?;
                        block(&mut self.bits, lane, place, restarted)?;
                        restarted = false;
                    }
                }
            }
            self.end_row()?;
        }
        Ok(())
    }

    fn first_dc(&mut self, scan: &Scan, stores: &mut [Store]) -> Result<(), Error> {
        let missing = Error::Damaged("a Huffman table is missing");
        let tables: Vec<&Table> = (scan.components.iter())
            .map(|(_, dc, _)| self.frame.tables.dc[*dc].as_ref().ok_or(missing.clone()))
            .collect::<Result<_, _>>()?;
        let mut predictions = [0_i32; 3];
        self.dc_blocks(scan, stores, |bits, lane, place, restarted| {
            if restarted {
                predictions = [0; 3];
            }
            bits.refill();
            let (step, difference) = tables[lane].next(bits);
            if step != 1 {
                return Err(Error::Damaged("a code that is none"));
            }
            predictions[lane] = predictions[lane].wrapping_add(difference);
            *place = (predictions[lane] << scan.approximation.1) as i16;
            Ok(())
        })
    }

    fn refine_dc(&mut self, scan: &Scan, stores: &mut [Store]) -> Result<(), Error> {
        self.dc_blocks(scan, stores, |bits, _, place, _| {
            *place |= i16::from(bits.bit()) << scan.approximation.1;
            Ok(())
        })
    }

    fn first_ac(&mut self, scan: &Scan, table: &Table, blocks: (usize, usize), store: &mut Store) -> Result<(), Error> {
        let (first, last) = scan.band;
        let mut blocks_to_pass = 0_u32;
        for row in 0..blocks.1 {
            for column in 0..blocks.0 {
                if self.restarted()? {
                    blocks_to_pass = 0;
                }
                if blocks_to_pass > 0 {
                    blocks_to_pass -= 1;
                    continue;
                }
                let at = row * store.across + column;
                let kept = store.coefficients.get_mut(at * store.kept..(at + 1) * store.kept).ok_or(OUT_OF_BLOCK)?;
                let mut seen = 0_u64;
                let mut bits = self.bits;
                let mut k = first - 1;
                while k < last {
                    bits.refill();
                    let (step, value) = table.next(&mut bits);
                    if step >= END {
                        blocks_to_pass = end_of_band(&mut bits, step)? - 1;
                        break;
                    }
                    k += step;
                    if k > last {
                        return Err(OUT_OF_BLOCK);
                    }
                    seen |= u64::from(value != 0) << k;
                    if let Some(place) = kept.get_mut(k as usize) {
                        *place = (value << scan.approximation.1) as i16;
                    }
                }
                self.bits = bits;
                if let Some(history) = store.history.get_mut(at) {
                    *history |= seen;
                }
            }
            self.end_row()?;
        }
        Ok(())
    }

    fn refine_ac(
        &mut self,
        scan: &Scan,
        table: &Table,
        blocks: (usize, usize),
        store: &mut Store,
    ) -> Result<(), Error> {
        let mut blocks_left = 0_u32;
        for row in 0..blocks.1 {
            for column in 0..blocks.0 {
                if self.restarted()? {
                    blocks_left = 0;
                }
                let at = row * store.across + column;
                let kept = store.coefficients.get_mut(at * store.kept..(at + 1) * store.kept).ok_or(OUT_OF_BLOCK)?;
                let history = store.history.get_mut(at).ok_or(OUT_OF_BLOCK)?;
                let mut block = Refined { bits: self.bits, kept, history: *history, bit: 1 << scan.approximation.1 };
                block.refine(scan.band, table, &mut blocks_left)?;
                *history = block.history;
                self.bits = block.bits;
            }
            self.end_row()?;
        }
        Ok(())
    }
}

/// How many blocks, with this one, have nothing new in their band (section G.1.2.2).
#[inline(always)]
fn end_of_band(bits: &mut Bits<'_>, step: u32) -> Result<u32, Error> {
    if step == INVALID {
        return Err(Error::Damaged("a code that is none"));
    }
    let exponent = step - END;
    Ok((1 << exponent) + bits.take(exponent))
}

/// A block that gets one more bit of its coefficients (section G.1.2.3).
struct Refined<'a, 'k> {
    bits: Bits<'a>,
    kept: &'k mut [i16],
    history: u64,
    /// What the new bit is worth.
    bit: i16,
}

impl Refined<'_, '_> {
    #[inline(always)]
    fn refine(&mut self, (first, last): (u32, u32), table: &Table, blocks_left: &mut u32) -> Result<(), Error> {
        // What of the band is still to come.
        let mut rest = band(first, last);
        while *blocks_left == 0 && rest != 0 {
            self.bits.refill();
            let (step, value) = table.next(&mut self.bits);
            if step >= END {
                *blocks_left = end_of_band(&mut self.bits, step)?;
                break;
            }
            // The coefficient meant is the one after so many that have been zero until now.
            let mut zeros = rest & !self.history;
            for _ in 1..step {
                zeros &= zeros.wrapping_sub(1);
            }
            let new = zeros & zeros.wrapping_neg();
            let passed = if new == 0 { rest } else { rest & (new - 1) };
            self.correct(passed & self.history);
            rest &= !(passed | new);
            if value != 0 {
                if new == 0 {
                    return Err(OUT_OF_BLOCK);
                }
                self.history |= new;
                if let Some(place) = self.kept.get_mut(new.trailing_zeros() as usize) {
                    *place = if value > 0 { self.bit } else { -self.bit };
                }
            }
        }
        if *blocks_left > 0 {
            self.correct(rest & self.history);
            *blocks_left -= 1;
        }
        Ok(())
    }

    /// A bit for each of these coefficients, in their order; those that are not kept are passed over.
    #[inline(always)]
    fn correct(&mut self, mut coefficients: u64) {
        while coefficients != 0 {
            let Some(place) = self.kept.get_mut(coefficients.trailing_zeros() as usize) else { break };
            coefficients &= coefficients - 1;
            if self.bits.bit() {
                *place = if *place >= 0 { place.wrapping_add(self.bit) } else { place.wrapping_sub(self.bit) };
            }
        }
        if coefficients != 0 {
            self.bits.skip(coefficients.count_ones());
        }
    }
}

fn make_planes(frame: &mut Frame<'_>, n: usize, store: &Store, left_out: &[u32]) -> Result<(), Error> {
    let Some(quantizers) = store.quantizers else { return Ok(()) };
    let blocks = frame.components[n].blocks;
    let mut planes = std::mem::take(&mut frame.components[n].planes);
    for row in 0..blocks.1 {
        frame.proceed()?;
        let at = row * store.across * store.kept;
        let coefficients = store.coefficients.get(at..).unwrap_or_default();
        let row = Row { coefficients, kept: store.kept, blocks: blocks.0, row };
        for (plane, &left_out) in planes.iter_mut().zip(left_out) {
            match plane.scale {
                Scale::Eighth => row.make::<Eighth, 1, 2>(&quantizers, plane, left_out),
                Scale::Quarter => row.make::<Quarter, 2, 8>(&quantizers, plane, left_out),
                Scale::Half => row.make::<Half, 4, 32>(&quantizers, plane, left_out),
                Scale::Whole => row.make::<Whole, 8, 64>(&quantizers, plane, left_out),
            }
        }
    }
    frame.components[n].planes = planes;
    Ok(())
}

/// A row of blocks, all of whose scans have been decoded.
struct Row<'a> {
    coefficients: &'a [i16],
    /// Coefficients of a block.
    kept: usize,
    blocks: usize,
    row: usize,
}

impl Row<'_> {
    fn make<T: Transform<N, SIZE>, const N: usize, const SIZE: usize>(
        &self,
        quantizers: &[u16; 64],
        plane: &mut Plane,
        left_out: u32,
    ) {
        let dequantizer = Dequantizer::new(quantizers, T::SCALE);
        let used = T::SCALE.last_coefficient() + 1;
        for (column, kept) in (0..self.blocks).zip(self.coefficients.chunks_exact(self.kept)) {
            let mut block = [0.0; SIZE];
            let (dc, ac) = kept.split_at(1);
            dequantizer.put(&mut block, 0, f32::from(dc[0]));
            for (k, &value) in (1..used).zip(ac) {
                dequantizer.put(&mut block, k, without(value, left_out));
            }
            plane.put::<T, N, SIZE>(&block, (column, self.row));
        }
    }
}

/// A value of which the lowest bits of its magnitude are not known: the middle of what it may be.
#[inline(always)]
fn without(value: i16, bits: u32) -> f32 {
    let known = i32::from(value).abs() >> bits << bits;
    if known == 0 {
        return 0.0;
    }
    let middle = known as f32 + ((1_u32 << bits) - 1) as f32 / 2.0;
    if value < 0 { -middle } else { middle }
}
