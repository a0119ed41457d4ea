//! Scans of a sequential frame: whole blocks, straight into the planes (ITU-T T.81, section F.2).

use crate::decode::bit_reader::Bits;
use crate::decode::component::{Component, Lane};
use crate::decode::huffman::{END, OUT_OF_BLOCK, SHORT_CODES, Table};
use crate::decode::idct::{Dequantizer, Eighth, Half, Quarter, Transform, Whole};
use crate::decode::{Frame, Scan, Tables, segments};
use crate::error::Error;
use crate::segments::marker;
use crate::{Plane, Scale};

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
        if frame.components[component].last_coefficient() < 63
            && let Some(table) = &mut frame.tables.ac[ac_table]
        {
            table.prepare_to_skip();
        }
        let planes = &frame.components[component].planes;
        let dequantizers = planes.iter().map(|plane| Dequantizer::new(&quantizers, plane.scale)).collect();
        lanes.push(Lane { component, dequantizers, dc_table, ac_table });
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
    bits: Bits<'a>,
    lane: &Lane,
    dc: &Table,
    ac: &Table,
    prediction: &mut i32,
    component: &mut Component,
    place: (usize, usize),
) -> Result<Bits<'a>, Error> {
    let block = Block { bits, dc, ac, prediction };
    match (component.planes.as_mut_slice(), lane.dequantizers.as_slice()) {
        ([plane], [dequantizer]) => match plane.scale {
            Scale::Eighth => block.one::<Eighth, 1, 2>(dequantizer, plane, place),
            Scale::Quarter => block.one::<Quarter, 2, 8>(dequantizer, plane, place),
            Scale::Half => block.one::<Half, 4, 32>(dequantizer, plane, place),
            Scale::Whole => block.one::<Whole, 8, 64>(dequantizer, plane, place),
        },
        (planes, dequantizers) => block.several(dequantizers, planes, place),
    }
}

/// A block that is about to be read.
struct Block<'a, 'b> {
    bits: Bits<'a>,
    dc: &'b Table,
    ac: &'b Table,
    prediction: &'b mut i32,
}

impl<'a> Block<'a, '_> {
    #[inline(always)]
    fn one<T: Transform<N, SIZE>, const N: usize, const SIZE: usize>(
        self,
        dequantizer: &Dequantizer,
        plane: &mut Plane,
        place: (usize, usize),
    ) -> Result<Bits<'a>, Error> {
        let mut block = [0.0; SIZE];
        let last = const { T::SCALE.last_coefficient() as u32 };
        let bits = self.read(last, |k, value| dequantizer.put(&mut block, k as usize, value as f32))?;
        plane.put::<T, N, SIZE>(&block, place);
        Ok(bits)
    }

    /// What is read once becomes a block for each plane, exactly as if it were the only one.
    #[inline(never)]
    fn several(
        self,
        dequantizers: &[Dequantizer],
        planes: &mut [Plane],
        place: (usize, usize),
    ) -> Result<Bits<'a>, Error> {
        let mut values = Values { values: [0; 64], used: 0 };
        let last = planes.iter().map(|plane| plane.scale.last_coefficient()).max().unwrap_or(0) as u32;
        let bits = self.read(last, |k, value| values.set(k, value))?;
        for (dequantizer, plane) in dequantizers.iter().zip(planes) {
            match plane.scale {
                Scale::Eighth => values.put::<Eighth, 1, 2>(dequantizer, plane, place),
                Scale::Quarter => values.put::<Quarter, 2, 8>(dequantizer, plane, place),
                Scale::Half => values.put::<Half, 4, 32>(dequantizer, plane, place),
                Scale::Whole => values.put::<Whole, 8, 64>(dequantizer, plane, place),
            }
        }
        Ok(bits)
    }

    /// Reads all of the block, and gives its values up to coefficient `last`, and perhaps one behind it, to `put`.
    #[inline(always)]
    fn read(self, last: u32, mut put: impl FnMut(u32, i32)) -> Result<Bits<'a>, Error> {
        let Self { mut bits, dc, ac, prediction } = self;
        bits.refill();
        let (step, difference) = dc.next(&mut bits);
        if step != 1 {
            return Err(Error::Damaged("a code that is none"));
        }
        *prediction = prediction.wrapping_add(difference);
        put(0, *prediction);
        let mut k = 0;
        'used: while k < last {
            bits.refill();
            // So many short codes with their values take no more bits than have been made available.
            for _ in 0..SHORT_CODES {
                let Some((step, value)) = ac.next_short(&mut bits) else {
                    bits.refill();
                    let (step, value) = ac.next(&mut bits);
                    k += step;
                    if k <= 63 {
                        put(k, value);
                    }
                    continue 'used;
                };
                k += step;
                if k >= last {
                    if k <= 63 {
                        put(k, value);
                    }
                    break 'used;
                }
                put(k, value);
            }
        }
        if k < 63 {
            ac.skip_block(&mut bits, k)?;
        } else if k > 63 && !(END..END + 63 + 16).contains(&k) {
            return Err(OUT_OF_BLOCK);
        }
        Ok(bits)
    }
}

/// A block's values by zigzag index, and a bit for each that is other than zero.
struct Values {
    values: [i32; 64],
    used: u64,
}

impl Values {
    #[inline(always)]
    fn set(&mut self, k: u32, value: i32) {
        self.values[k as usize & 63] = value;
        self.used |= 1 << (k & 63);
    }

    #[inline(always)]
    fn put<T: Transform<N, SIZE>, const N: usize, const SIZE: usize>(
        &self,
        dequantizer: &Dequantizer,
        plane: &mut Plane,
        place: (usize, usize),
    ) {
        let mut block = [0.0; SIZE];
        let mut used = self.used & const { u64::MAX >> (63 - T::SCALE.last_coefficient()) };
        while used != 0 {
            let k = used.trailing_zeros() as usize;
            used &= used - 1;
            dequantizer.put(&mut block, k, self.values[k & 63] as f32);
        }
        plane.put::<T, N, SIZE>(&block, place);
    }
}
