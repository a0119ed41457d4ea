//! The lines of a plane that decoding needs at a time: one row of macroblocks and the lines above it.

use crate::samples::BlockAddress;

/// Padding on both sides of a line. Prediction reads one sample to the left of the image and four to the right.
pub(crate) const MARGIN: usize = 16;

/// Lines above the row that the loop filter still reads or changes. They are stored filtered.
pub(crate) const PENDING: usize = 4;

/// Value of samples above the image (RFC 6386, section 12.2).
const ABOVE: u8 = 127;

/// Value of samples to the left of the image (RFC 6386, section 12.2).
const LEFT: u8 = 129;

/// Lines of one plane: [`PENDING`] filtered lines, the unfiltered line above the row, from which the row is predicted,
/// and the row itself.
#[derive(Debug)]
pub(crate) struct Strip {
    pub(crate) samples: Vec<u8>,
    /// Distance between the samples of adjacent lines.
    pub(crate) stride: usize,
    /// Lines per row of macroblocks: 16 for luma, 8 for chroma.
    pub(crate) side: usize,
}

impl Strip {
    pub(crate) fn new(columns: usize, side: usize) -> Self {
        let stride = columns * side + 2 * MARGIN;
        let mut strip = Self { samples: vec![LEFT; stride * (PENDING + 1 + side)], stride, side };
        let above = strip.above();
        strip.samples[above..above + stride].fill(ABOVE);
        strip
    }

    /// Start of the unfiltered line above the row.
    fn above(&self) -> usize {
        PENDING * self.stride
    }

    /// Address of the macroblock in a column.
    pub(crate) fn macroblock(&self, column: usize) -> BlockAddress {
        BlockAddress { start: (PENDING + 1) * self.stride + MARGIN + column * self.side, stride: self.stride }
    }

    /// Copies the last line of the row to the line above the next row. Must be called before the row is filtered.
    pub(crate) fn keep_unfiltered(&mut self) {
        let (above, last) = (self.above(), (PENDING + self.side) * self.stride);
        self.samples.copy_within(last..last + self.stride, above);
        // Subblocks of the last macroblock read beyond the right edge.
        let (margins, end) = (above + MARGIN, above + self.stride - MARGIN);
        self.samples[above..margins].fill(LEFT);
        let corner = self.samples[end - 1];
        self.samples[end..end + MARGIN].fill(corner);
    }

    /// Copies the last lines of the row to the pending lines of the next row. Must be called after the row is filtered.
    pub(crate) fn keep_filtered(&mut self) {
        let last = (1 + self.side) * self.stride;
        self.samples.copy_within(last..last + PENDING * self.stride, 0);
    }

    /// Lines of `width` samples, starting at line `first` of the row. Negative numbers are pending lines.
    pub(crate) fn lines(&self, first: isize, width: usize) -> impl Iterator<Item = &[u8]> {
        let first = first + if first < 0 { PENDING as isize } else { PENDING as isize + 1 };
        let above = self.above() / self.stride;
        let lines = self.samples.chunks_exact(self.stride).enumerate().skip(first.max(0) as usize);
        let lines = lines.filter(move |(n, _)| *n != above);
        lines.map(move |(_, line)| line.get(MARGIN..MARGIN + width).unwrap_or_default())
    }
}
