//! Decodes one scan of a progressive frame into the coefficient stores (ITU-T T.81, section G.2).

use planes::Error;

use super::coefficients::CoefficientStore;
use super::refinement::{BlockRefinement, end_of_band_run};
use crate::decode::bit_reader::BitReader;
use crate::decode::component::BlockGrid;
use crate::decode::frame::Frame;
use crate::decode::huffman::{END, HuffmanTable, INVALID_CODE, MISSING_TABLE, OUT_OF_BLOCK};
use crate::decode::restart::RestartCounter;
use crate::decode::scan::Scan;

/// Decodes the scan whose data starts at `position`.
pub(super) fn decode_scan(
    frame: &Frame<'_>,
    scan: &Scan,
    position: usize,
    stores: &mut [CoefficientStore],
) -> Result<(), Error> {
    let mut decoder = ScanDecoder {
        frame,
        scan,
        bits: BitReader::new(frame.data, position),
        restarts: RestartCounter::new(frame.tables.restart_interval, position),
    };
    match (scan.first, scan.high, scan.components.as_slice()) {
        (0, 0, _) => decoder.decode_dc(stores)?,
        (0, ..) => decoder.refine_dc(stores)?,
        (_, high, &[component]) => {
            let table = frame.tables.ac[component.ac_table].as_ref().ok_or(MISSING_TABLE)?;
            let blocks = frame.components[component.index].blocks;
            let store = &mut stores[component.index];
            if high == 0 {
                decoder.decode_ac(table, blocks, store)?
            } else {
                decoder.refine_ac(table, blocks, store)?
            }
        }
        _ => return Err(Error::Damaged("invalid scan header")),
    }
    decoder.restarts.finish(decoder.bits)
}

/// A DC coefficient about to be decoded.
struct DcTarget<'c> {
    /// Index of the component in the scan.
    component: usize,
    coefficient: &'c mut i16,
    /// True if a restart marker precedes the block, which resets the predictions.
    restarted: bool,
}

struct ScanDecoder<'f, 'a> {
    frame: &'f Frame<'a>,
    scan: &'f Scan,
    bits: BitReader<'a>,
    restarts: RestartCounter,
}

impl ScanDecoder<'_, '_> {
    fn end_row(&self) -> Result<(), Error> {
        if self.bits.has_overrun() { Err(Error::Truncated) } else { self.frame.check_cancelled() }
    }

    /// Calls `decode` for each block of a DC scan, in coding order.
    fn for_each_dc(
        &mut self,
        stores: &mut [CoefficientStore],
        mut decode: impl FnMut(&mut BitReader<'_>, DcTarget<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let scan = self.scan;
        let is_interleaved = scan.components.len() > 1;
        let BlockGrid { columns, rows } = match scan.components.as_slice() {
            [component] => self.frame.components[component.index].blocks,
            _ => self.frame.units(),
        };
        for row in 0..rows {
            for column in 0..columns {
                let mut restarted = self.restarts.begin_unit(&mut self.bits)?;
                for (n, component) in scan.components.iter().enumerate() {
                    let unit = self.frame.components[component.index].unit;
                    let unit = if is_interleaved { unit } else { BlockGrid { columns: 1, rows: 1 } };
                    let store = &mut stores[component.index];
                    for index in 0..unit.columns * unit.rows {
                        let x = column * unit.columns + index % unit.columns;
                        let y = row * unit.rows + index / unit.columns;
                        let at = (y * store.columns + x) * store.per_block;
                        let coefficient = store.coefficients.get_mut(at).ok_or(OUT_OF_BLOCK)?;
                        decode(&mut self.bits, DcTarget { component: n, coefficient, restarted })?;
                        restarted = false;
                    }
                }
            }
            self.end_row()?;
        }
        Ok(())
    }

    fn decode_dc(&mut self, stores: &mut [CoefficientStore]) -> Result<(), Error> {
        let (scan, tables) = (self.scan, &self.frame.tables);
        let tables: Vec<&HuffmanTable> = (scan.components.iter())
            .map(|component| tables.dc[component.dc_table].as_ref().ok_or(MISSING_TABLE))
            .collect::<Result<_, _>>()?;
        let mut predictions = [0_i32; 4];
        self.for_each_dc(stores, |bits, DcTarget { component, coefficient, restarted }| {
            if restarted {
                predictions = [0; 4];
            }
            bits.refill();
            let (step, difference) = tables[component].next(bits);
            if step != 1 {
                return Err(INVALID_CODE);
            }
            predictions[component] = predictions[component].wrapping_add(difference);
            *coefficient = (predictions[component] << scan.low) as i16;
            Ok(())
        })
    }

    fn refine_dc(&mut self, stores: &mut [CoefficientStore]) -> Result<(), Error> {
        let low = self.scan.low;
        self.for_each_dc(stores, |bits, target| {
            *target.coefficient |= i16::from(bits.read_bit()) << low;
            Ok(())
        })
    }

    fn decode_ac(
        &mut self,
        table: &HuffmanTable,
        blocks: BlockGrid,
        store: &mut CoefficientStore,
    ) -> Result<(), Error> {
        let (first, last, low) = (self.scan.first, self.scan.last, self.scan.low);
        // Blocks left in the end-of-band run.
        let mut run = 0_u32;
        for row in 0..blocks.rows {
            for column in 0..blocks.columns {
                if self.restarts.begin_unit(&mut self.bits)? {
                    run = 0;
                }
                if run > 0 {
                    run -= 1;
                    continue;
                }
                let at = row * store.columns + column;
                let range = at * store.per_block..(at + 1) * store.per_block;
                let coefficients = store.coefficients.get_mut(range).ok_or(OUT_OF_BLOCK)?;
                let mut nonzero = 0_u64;
                let mut bits = self.bits;
                let mut k = first - 1;
                while k < last {
                    bits.refill();
                    let (step, value) = table.next(&mut bits);
                    if step >= END {
                        run = end_of_band_run(&mut bits, step)? - 1;
                        break;
                    }
                    k += step;
                    if k > last {
                        return Err(OUT_OF_BLOCK);
                    }
                    nonzero |= u64::from(value != 0) << k;
                    if let Some(coefficient) = coefficients.get_mut(k as usize) {
                        *coefficient = (value << low) as i16;
                    }
                }
                self.bits = bits;
                if let Some(history) = store.history.get_mut(at) {
                    *history |= nonzero;
                }
            }
            self.end_row()?;
        }
        Ok(())
    }

    fn refine_ac(
        &mut self,
        table: &HuffmanTable,
        blocks: BlockGrid,
        store: &mut CoefficientStore,
    ) -> Result<(), Error> {
        let mut run = 0_u32;
        for row in 0..blocks.rows {
            for column in 0..blocks.columns {
                if self.restarts.begin_unit(&mut self.bits)? {
                    run = 0;
                }
                let at = row * store.columns + column;
                let range = at * store.per_block..(at + 1) * store.per_block;
                let coefficients = store.coefficients.get_mut(range).ok_or(OUT_OF_BLOCK)?;
                let history = store.history.get_mut(at).ok_or(OUT_OF_BLOCK)?;
                let mut block =
                    BlockRefinement { bits: self.bits, coefficients, history: *history, bit: 1 << self.scan.low };
                block.refine(self.scan, table, &mut run)?;
                *history = block.history;
                self.bits = block.bits;
            }
            self.end_row()?;
        }
        Ok(())
    }
}
