//! Decodes a frame to its planes, one row of macroblocks at a time.

use planes::{Error, Incomplete};

use crate::entropy::coefficients::{CoefficientParameters, Neighbors, NonzeroContext, Residue};
use crate::entropy::frame::Frame;
use crate::entropy::modes::ModeReader;
use crate::filter::apply::{self, FilteredEdges};
use crate::header::Header;
use crate::macroblock::Macroblock;
use crate::options::{LoopFilter, Options, Plane};
use crate::plane_builder::PlaneBuilder;
use crate::predict::reconstruct::reconstruct;
use crate::strip::Strip;

/// Decodes Y, U and V for each of `filters`, in that order. The samples of a plane do not depend on the other filters.
///
/// `header` must have been read from the same bytes.
///
/// # Errors
/// The frame is damaged or truncated (unless [`Options::incomplete`] keeps truncated frames), or
/// [`Options::should_continue`] returned `false`.
pub fn decode(
    data: &[u8],
    header: &Header,
    filters: &[LoopFilter],
    options: &Options<'_>,
) -> Result<Vec<Plane>, Error> {
    let frame = Frame::read(data, header, options.incomplete)?;
    let mut decoder = Decoder::new(frame, header, filters);
    match (decoder.run(options), options.incomplete) {
        (Ok(()), _) | (Err(Error::Truncated), Incomplete::Keep) => {}
        (Err(error), _) => return Err(error),
    }
    Ok(decoder.outputs.into_iter().map(PlaneBuilder::finish).collect())
}

struct Decoder<'a> {
    frame: Frame<'a>,
    /// Rows of macroblocks.
    rows: usize,
    /// The current lines of Y, U and V.
    strips: [Strip; 3],
    modes: ModeReader,
    /// The macroblocks of the current row.
    row: Vec<Macroblock>,
    /// By column: the context from the row above.
    above: Vec<NonzeroContext>,
    residue: Residue,
    outputs: Vec<PlaneBuilder>,
}

impl<'a> Decoder<'a> {
    fn new(frame: Frame<'a>, header: &Header, filters: &[LoopFilter]) -> Self {
        let (columns, rows) = header.macroblocks();
        let outputs =
            filters.iter().flat_map(|filter| [0, 1, 2].map(|component| PlaneBuilder::new(header, component, *filter)));
        Self {
            frame,
            rows,
            strips: [16, 8, 8].map(|side| Strip::new(columns, side)),
            modes: ModeReader::new(columns),
            row: Vec::with_capacity(columns),
            above: vec![NonzeroContext::default(); columns],
            residue: Residue::new(),
            outputs: outputs.collect(),
        }
    }

    /// Rows are predicted from unfiltered lines (RFC 6386, section 15), so a row can be filtered as soon as it is
    /// decoded, or not at all.
    fn run(&mut self, options: &Options<'_>) -> Result<(), Error> {
        let is_filtered = self.outputs.iter().any(|output| output.filter == LoopFilter::Apply);
        for y in 0..self.rows {
            if !(options.should_continue)() {
                return Err(Error::Cancelled);
            }
            let decoded = self.decode_row(y);
            if decoded.is_err() {
                self.emit(LoopFilter::Apply, y, ReadyLines::Pending);
            }
            decoded?;
            self.strips.iter_mut().for_each(Strip::keep_unfiltered);
            self.emit(LoopFilter::Skip, y, ReadyLines::Row);
            if is_filtered {
                self.filter_row(y);
                let is_last = y + 1 == self.rows;
                let ready = if is_last { ReadyLines::PendingAndRow } else { ReadyLines::PendingAndSettled };
                self.emit(LoopFilter::Apply, y, ready);
                self.strips.iter_mut().for_each(Strip::keep_filtered);
            }
        }
        Ok(())
    }

    fn decode_row(&mut self, y: usize) -> Result<(), Error> {
        self.modes.read(&mut self.frame.modes, &self.frame.mode_parameters, &mut self.row);
        self.frame.modes.check_truncated()?;
        let count = self.frame.partitions.len();
        let Some(bits) = self.frame.partitions.get_mut(y % count) else { return Err(Error::Truncated) };
        let mut left = NonzeroContext::default();
        for (x, (macroblock, above)) in self.row.iter_mut().zip(&mut self.above).enumerate() {
            let has_y2 = !macroblock.has_subblocks();
            if macroblock.is_skipped {
                left.skip(has_y2);
                above.skip(has_y2);
            } else {
                let steps = &self.frame.steps[usize::from(macroblock.segment)];
                let parameters = CoefficientParameters { trees: &self.frame.trees, steps };
                let neighbors = Neighbors { above, left: &mut left };
                macroblock.has_coefficients = self.residue.read(bits, parameters, has_y2, neighbors);
                bits.check_truncated()?;
            }
            reconstruct(&mut self.strips, x, y, macroblock, &mut self.residue);
        }
        Ok(())
    }

    fn filter_row(&mut self, y: usize) {
        let Some(filter) = self.frame.filter else { return };
        let [luma, u, v] = &mut self.strips;
        for (x, macroblock) in self.row.iter().enumerate() {
            let has_subblocks = macroblock.has_subblocks();
            let Some(strength) = filter.strength(macroblock.segment, has_subblocks) else { continue };
            let inner = has_subblocks || macroblock.has_coefficients;
            let edges = FilteredEdges { left: x > 0, top: y > 0, inner };
            if filter.is_simple {
                apply::luma_simple(luma, x, strength, edges);
            } else {
                apply::luma(luma, x, strength, edges);
                apply::chroma([u, v], x, strength, edges);
            }
        }
    }

    /// Appends the lines of row `y` that are ready to the planes with this filter setting.
    fn emit(&mut self, filter: LoopFilter, y: usize, ready: ReadyLines) {
        for output in self.outputs.iter_mut().filter(|output| output.filter == filter) {
            let Some(strip) = self.strips.get(output.component) else { continue };
            let pending = if y > 0 && ready != ReadyLines::Row { UNSETTLED } else { 0 };
            let row = match ready {
                ReadyLines::Row | ReadyLines::PendingAndRow => strip.side,
                ReadyLines::PendingAndSettled => strip.side - UNSETTLED,
                ReadyLines::Pending => 0,
            };
            output.extend(strip.lines(-(pending as isize), output.width).take(pending + row));
        }
    }
}

/// The lines that have reached their final value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadyLines {
    /// All lines of the row, if it is not filtered.
    Row,
    /// The pending lines of the row above, and the lines of this row that the filter of the next row does not change.
    PendingAndSettled,
    /// The pending lines of the row above, and all lines of this row, which is the last one.
    PendingAndRow,
    /// The pending lines of the row above, because this row cannot be decoded.
    Pending,
}

/// Number of lines at the end of a row that the filter of the next row may change (RFC 6386, section 15.3).
const UNSETTLED: usize = 3;
