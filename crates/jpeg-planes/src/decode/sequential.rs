//! Decodes the scans of a sequential frame, block by block into the planes (ITU-T T.81, section F.2).

use planes::Error;

use crate::decode::arithmetic;
use crate::decode::bit_reader::BitReader;
use crate::decode::block_values::BlockValues;
use crate::decode::component::{BlockGrid, BlockPosition, Component, store_block};
use crate::decode::frame::Frame;
use crate::decode::huffman::{END, HuffmanTable, INVALID_CODE, MISSING_TABLE, OUT_OF_BLOCK, SHORT_CODES};
use crate::decode::idct::{Dequantizer, Eighth, Full, Half, InverseDct, Quarter};
use crate::decode::restart::{EntropyReader as _, RestartCounter};
use crate::decode::scan::{Scan, ScanComponent};
use crate::decode::tables::Tables;
use crate::marker;
use crate::options::{Plane, Scale};

/// Decodes scans until each component has had one.
pub(super) fn decode(frame: &mut Frame<'_>) -> Result<(), Error> {
    let mut segments = frame.segments()?;
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
        for component in &scan.components {
            missing[component.index] = false;
        }
        let end = if frame.header.arithmetic {
            arithmetic::decode_sequential(frame, &scan, segments.position())?
        } else {
            decode_scan(frame, &scan, segments.position())?
        };
        if missing.contains(&true) {
            segments.seek(frame.scan_end(end));
        }
    }
    Ok(())
}

/// Decodes the scan whose data starts at `position`, and returns the position after it.
fn decode_scan(frame: &mut Frame<'_>, scan: &Scan, position: usize) -> Result<usize, Error> {
    let mut tables = std::mem::take(&mut frame.tables);
    tables.add_standard(scan);
    prepare_skipping(frame, scan, &mut tables);
    let mut decoders = scan
        .components
        .iter()
        .map(|component| ComponentDecoder::new(frame, component, &tables))
        .collect::<Result<Vec<_>, _>>()?;
    let is_interleaved = decoders.len() > 1;
    let BlockGrid { columns, rows } = match decoders.as_slice() {
        [decoder] => frame.components[decoder.index].blocks,
        _ => frame.units(),
    };
    let mut bits = BitReader::new(frame.data, position);
    let mut restarts = RestartCounter::new(tables.restart_interval, position);
    for row in 0..rows {
        frame.check_cancelled()?;
        for column in 0..columns {
            if restarts.begin_unit(&mut bits)? {
                decoders.iter_mut().for_each(|decoder| decoder.prediction = 0);
            }
            for decoder in &mut decoders {
                let component = &mut frame.components[decoder.index];
                let unit = if is_interleaved { component.unit } else { BlockGrid { columns: 1, rows: 1 } };
                for y in 0..unit.rows {
                    for x in 0..unit.columns {
                        let position = BlockPosition { column: column * unit.columns + x, row: row * unit.rows + y };
                        bits = decode_block(bits, decoder, component, position)?;
                    }
                }
            }
        }
        if bits.has_overrun() {
            return Err(Error::Truncated);
        }
    }
    restarts.finish(bits)?;
    frame.tables = tables;
    Ok(bits.position())
}

/// Builds the skip tables of components that do not use all coefficients.
fn prepare_skipping(frame: &Frame<'_>, scan: &Scan, tables: &mut Tables) {
    for component in &scan.components {
        if frame.components[component.index].last_coefficient() < 63
            && let Some(table) = &mut tables.ac[component.ac_table]
        {
            table.prepare_skipping();
        }
    }
}

/// The decoding state of one component in a scan.
struct ComponentDecoder<'t> {
    /// Index of the component in the frame.
    index: usize,
    dc: &'t HuffmanTable,
    ac: &'t HuffmanTable,
    /// One dequantizer per plane.
    dequantizers: Vec<Dequantizer>,
    /// DC value of the preceding block.
    prediction: i32,
}

impl<'t> ComponentDecoder<'t> {
    fn new(frame: &Frame<'_>, component: &ScanComponent, tables: &'t Tables) -> Result<Self, Error> {
        let index = component.index;
        let quantizer = usize::from(frame.header.components[index].quantizer);
        let quantizers = tables.quantizers[quantizer].ok_or(Error::Damaged("missing quantization table"))?;
        let planes = &frame.components[index].planes;
        Ok(Self {
            index,
            dc: tables.dc[component.dc_table].as_ref().ok_or(MISSING_TABLE)?,
            ac: tables.ac[component.ac_table].as_ref().ok_or(MISSING_TABLE)?,
            dequantizers: planes.iter().map(|plane| Dequantizer::new(&quantizers, plane.mode)).collect(),
            prediction: 0,
        })
    }
}

/// Decodes one block into all planes of its component.
#[inline(always)]
fn decode_block<'a>(
    bits: BitReader<'a>,
    decoder: &mut ComponentDecoder<'_>,
    component: &mut Component,
    position: BlockPosition,
) -> Result<BitReader<'a>, Error> {
    let ComponentDecoder { dc, ac, prediction, .. } = decoder;
    let block = BlockDecoder { bits, dc, ac, prediction };
    match (component.planes.as_mut_slice(), decoder.dequantizers.as_slice()) {
        ([plane], [dequantizer]) => match plane.mode {
            Scale::Eighth => block.decode_one::<Eighth, 1, 2>(dequantizer, plane, position),
            Scale::Quarter => block.decode_one::<Quarter, 2, 8>(dequantizer, plane, position),
            Scale::Half => block.decode_one::<Half, 4, 32>(dequantizer, plane, position),
            Scale::Full => block.decode_one::<Full, 8, 64>(dequantizer, plane, position),
        },
        (planes, dequantizers) => block.decode_several(dequantizers, planes, position),
    }
}

/// The input of one block.
struct BlockDecoder<'a, 'b> {
    bits: BitReader<'a>,
    dc: &'b HuffmanTable,
    ac: &'b HuffmanTable,
    prediction: &'b mut i32,
}

impl<'a> BlockDecoder<'a, '_> {
    #[inline(always)]
    fn decode_one<T: InverseDct<N, SIZE>, const N: usize, const SIZE: usize>(
        self,
        dequantizer: &Dequantizer,
        plane: &mut Plane,
        position: BlockPosition,
    ) -> Result<BitReader<'a>, Error> {
        let mut block = [0.0; SIZE];
        let last = const { T::SCALE.last_coefficient() as u32 };
        let bits = self.read(last, |k, value| dequantizer.store(&mut block, k as usize, value as f32))?;
        store_block::<T, N, SIZE>(plane, &block, position);
        Ok(bits)
    }

    /// Reads the coefficients once and transforms them for each plane. The samples equal those of [`Self::decode_one`].
    #[inline(never)]
    fn decode_several(
        self,
        dequantizers: &[Dequantizer],
        planes: &mut [Plane],
        position: BlockPosition,
    ) -> Result<BitReader<'a>, Error> {
        let mut values = BlockValues::NEW;
        let last = planes.iter().map(|plane| plane.mode.last_coefficient()).max().unwrap_or(0) as u32;
        let bits = self.read(last, |k, value| values.set(k, value))?;
        values.store(dequantizers, planes, position);
        Ok(bits)
    }

    /// Reads the whole block and passes its values up to zigzag index `last` to `store`. One later value may be passed
    /// too.
    #[inline(always)]
    fn read(self, last: u32, mut store: impl FnMut(u32, i32)) -> Result<BitReader<'a>, Error> {
        let Self { mut bits, dc, ac, prediction } = self;
        bits.refill();
        let (step, difference) = dc.next(&mut bits);
        if step != 1 {
            return Err(INVALID_CODE);
        }
        *prediction = prediction.wrapping_add(difference);
        store(0, *prediction);
        let mut k = 0;
        'used: while k < last {
            bits.refill();
            for _ in 0..SHORT_CODES {
                let Some((step, value)) = ac.next_short(&mut bits) else {
                    bits.refill();
                    let (step, value) = ac.next(&mut bits);
                    k += step;
                    if k <= 63 {
                        store(k, value);
                    }
                    continue 'used;
                };
                k += step;
                if k >= last {
                    if k <= 63 {
                        store(k, value);
                    }
                    break 'used;
                }
                store(k, value);
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
