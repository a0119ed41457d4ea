//! Decodes scans with arithmetic coding (ITU-T T.81, annex D and sections F.2.4 and G.2).

use planes::Error;

use crate::decode::block_values::BlockValues;
use crate::decode::component::{BlockGrid, BlockPosition};
use crate::decode::frame::Frame;
use crate::decode::idct::Dequantizer;
use crate::decode::progressive::CoefficientStore;
use crate::decode::restart::{EntropyReader as _, RestartCounter};
use crate::decode::scan::{Scan, band_mask};
use crate::decode::tables::Tables;
pub(super) use coefficients::Conditioning;
use coefficients::{AcStatistics, DcStatistics, INVALID_DECISION, Prediction};
use decoder::{ArithmeticDecoder, appended_max};

mod coefficients;
mod decoder;
mod states;

/// Decodes a scan of a sequential frame into the planes. Returns the position after its data.
pub(super) fn decode_sequential(frame: &mut Frame<'_>, scan: &Scan, position: usize) -> Result<usize, Error> {
    let mut dequantizers = Vec::with_capacity(scan.components.len());
    for component in &scan.components {
        let quantizer = usize::from(frame.header.components[component.index].quantizer);
        let quantizers = frame.tables.quantizers[quantizer].ok_or(Error::Damaged("missing quantization table"))?;
        let planes = &frame.components[component.index].planes;
        dequantizers.push(planes.iter().map(|plane| Dequantizer::new(&quantizers, plane.mode)).collect::<Vec<_>>());
    }
    let mut planes: Vec<_> =
        scan.components.iter().map(|one| std::mem::take(&mut frame.components[one.index].planes)).collect();
    let mut decoder = ScanDecoder::new(frame, scan, position);
    let result = decoder.for_each_block(|coder, n, position| {
        let mut values = BlockValues::NEW;
        values.set(0, coder.dc(n)?);
        coder.ac(n, (1, 63), |k, value| values.set(k, value))?;
        values.store(&dequantizers[n], &mut planes[n], position);
        Ok(())
    });
    // The planes keep the blocks before an error.
    for (component, planes) in scan.components.iter().zip(planes) {
        frame.components[component.index].planes = planes;
    }
    result
}

/// Decodes a scan of a progressive frame into the coefficient stores.
pub(super) fn decode_progressive(
    frame: &Frame<'_>,
    scan: &Scan,
    position: usize,
    stores: &mut [CoefficientStore],
) -> Result<(), Error> {
    let mut decoder = ScanDecoder::new(frame, scan, position);
    let low = scan.low;
    decoder.for_each_block(|coder, n, position| {
        let store = stores.get_mut(scan.components[n].index).ok_or(INVALID_DECISION)?;
        let at = position.row * store.columns + position.column;
        let range = at * store.per_block..(at + 1) * store.per_block;
        let coefficients = store.coefficients.get_mut(range).ok_or(INVALID_DECISION)?;
        match (scan.first, scan.high) {
            (0, 0) => coefficients[0] = (coder.dc(n)? << low) as i16,
            (0, _) => coefficients[0] |= i16::from(coder.decoder.decide_fixed()) << low,
            (_, 0) => {
                let mut nonzero = 0;
                coder.ac(n, (scan.first, scan.last), |k, value| {
                    nonzero |= 1 << k;
                    if let Some(coefficient) = coefficients.get_mut(k as usize) {
                        *coefficient = (value << low) as i16;
                    }
                })?;
                if let Some(history) = store.history.get_mut(at) {
                    *history |= nonzero;
                }
            }
            _ => {
                let history = store.history.get_mut(at).ok_or(INVALID_DECISION)?;
                coder.refine_ac(coefficients, history)?;
            }
        }
        Ok(())
    })?;
    Ok(())
}

/// Number of blocks of a scan.
fn block_count(frame: &Frame<'_>, scan: &Scan) -> usize {
    match scan.components.as_slice() {
        [component] => {
            let BlockGrid { columns, rows } = frame.components[component.index].blocks;
            columns * rows
        }
        components => {
            let per_unit = components.iter().map(|component| {
                let BlockGrid { columns, rows } = frame.components[component.index].unit;
                columns * rows
            });
            let BlockGrid { columns, rows } = frame.units();
            columns * rows * per_unit.sum::<usize>()
        }
    }
}

/// The state of a scan.
struct ScanDecoder<'f, 'a> {
    frame: &'f Frame<'a>,
    scan: &'f Scan,
    restarts: RestartCounter,
    coder: Coder<'f, 'a>,
}

/// The decoder and its statistics, which restart with each interval.
struct Coder<'f, 'a> {
    decoder: ArithmeticDecoder<'a>,
    scan: &'f Scan,
    tables: &'f Tables,
    dc: [DcStatistics; 4],
    ac: [AcStatistics; 4],
    /// By index in the scan.
    predictions: [Prediction; 4],
}

impl<'f, 'a> ScanDecoder<'f, 'a> {
    fn new(frame: &'f Frame<'a>, scan: &'f Scan, position: usize) -> Self {
        // The bits of a refined DC coefficient have a fixed probability. Encoders omit any number of zeros at their end.
        let is_dc_refinement = scan.first == 0 && scan.high != 0 && frame.header.progressive;
        let appended_max = if is_dc_refinement { u32::MAX } else { appended_max(block_count(frame, scan)) };
        let decoder = ArithmeticDecoder::new(frame.data, position, appended_max);
        let coder = Coder::new(decoder, scan, &frame.tables);
        Self { frame, scan, restarts: RestartCounter::new(frame.tables.restart_interval, position), coder }
    }

    /// Calls `decode` for each block, in coding order, with the index of its component in the scan. Returns the
    /// position after the data.
    fn for_each_block(
        &mut self,
        mut decode: impl FnMut(&mut Coder<'f, 'a>, usize, BlockPosition) -> Result<(), Error>,
    ) -> Result<usize, Error> {
        let single = BlockGrid { columns: 1, rows: 1 };
        let (BlockGrid { columns, rows }, is_interleaved) = match self.scan.components.as_slice() {
            [component] => (self.frame.components[component.index].blocks, false),
            _ => (self.frame.units(), true),
        };
        for row in 0..rows {
            self.frame.check_cancelled()?;
            for column in 0..columns {
                if self.restarts.begin_unit(&mut self.coder.decoder)? {
                    self.coder = Coder::new(self.coder.decoder, self.scan, &self.frame.tables);
                }
                for (n, component) in self.scan.components.iter().enumerate() {
                    let unit = if is_interleaved { self.frame.components[component.index].unit } else { single };
                    for index in 0..unit.columns * unit.rows {
                        let (x, y) = (index % unit.columns, index / unit.columns);
                        let position = BlockPosition { column: column * unit.columns + x, row: row * unit.rows + y };
                        decode(&mut self.coder, n, position)?;
                    }
                }
            }
            if self.coder.decoder.has_overrun() {
                return Err(Error::Truncated);
            }
        }
        self.restarts.finish(self.coder.decoder)?;
        Ok(self.coder.decoder.position())
    }
}

impl<'f, 'a> Coder<'f, 'a> {
    fn new(decoder: ArithmeticDecoder<'a>, scan: &'f Scan, tables: &'f Tables) -> Self {
        let (dc, ac) = ([DcStatistics::NEW; 4], [AcStatistics::NEW; 4]);
        Self { decoder, scan, tables, dc, ac, predictions: [Prediction::default(); 4] }
    }

    /// Decodes the DC coefficient of a block.
    fn dc(&mut self, n: usize) -> Result<i32, Error> {
        let table = self.scan.components[n].dc_table;
        let prediction = &mut self.predictions[n];
        self.dc[table].decode(&mut self.decoder, prediction, self.tables.conditioning[table])?;
        Ok(prediction.value)
    }

    /// Decodes AC coefficients of a block.
    fn ac(&mut self, n: usize, band: (u32, u32), store: impl FnMut(u32, i32)) -> Result<(), Error> {
        let table = self.scan.components[n].ac_table;
        self.ac[table].decode(&mut self.decoder, band, self.tables.conditioning[table], store)
    }

    /// Adds one bit of precision to the AC coefficients of a block (section G.1.3.3). `history` is the bit mask of the
    /// nonzero coefficients, which includes those that are not stored.
    fn refine_ac(&mut self, coefficients: &mut [i16], history: &mut u64) -> Result<(), Error> {
        let Self { decoder, scan, ac, .. } = self;
        let statistics = &mut ac[scan.components[0].ac_table];
        let bit = 1_i16 << scan.low;
        // The block cannot end before its last coefficient that is nonzero already.
        let end = (*history & band_mask(1, scan.last)).checked_ilog2().unwrap_or(0);
        let mut k = scan.first;
        while k <= scan.last {
            if k > end && statistics.is_end_of_block(decoder, k) {
                break;
            }
            loop {
                let mask = 1 << k;
                if *history & mask != 0 {
                    if decoder.decide(statistics.correction(k))
                        && let Some(coefficient) = coefficients.get_mut(k as usize)
                    {
                        let change = if *coefficient < 0 { -bit } else { bit };
                        *coefficient = coefficient.wrapping_add(change);
                    }
                    break;
                }
                if decoder.decide(statistics.is_nonzero(k)) {
                    let value = if decoder.decide_fixed() { -bit } else { bit };
                    *history |= mask;
                    if let Some(coefficient) = coefficients.get_mut(k as usize) {
                        *coefficient = value;
                    }
                    break;
                }
                k += 1;
                if k > scan.last {
                    return Err(INVALID_DECISION);
                }
            }
            k += 1;
        }
        Ok(())
    }
}
