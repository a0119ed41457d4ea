//! The lines of a plane that decoding needs at once: those of one row of macroblocks, and what is above them.

/// Samples left and right of the picture: one on the left that predictions take for the picture's, and on the right four.
pub(crate) const MARGIN: usize = 16;

/// Lines above the row that the loop filter still looks at or changes, as it has left them.
pub(crate) const PENDING: usize = 4;

/// What stands for samples above the picture (RFC 6386 section 12.2).
const ABOVE: u8 = 127;

/// What stands for samples to the left of the picture.
const LEFT: u8 = 129;

/// Lines of one plane: [`PENDING`] filtered ones, the one above the row as it was before filtering, which predictions are made
/// of, and the row itself.
#[derive(Debug)]
pub(crate) struct Strip {
    pub(crate) samples: Vec<u8>,
    /// Samples from one line to the next.
    pub(crate) stride: usize,
    /// Lines of a row of macroblocks: 16, or 8 of chroma.
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

    fn above(&self) -> usize {
        PENDING * self.stride
    }

    /// Where the first sample of a macroblock lies.
    pub(crate) fn place(&self, column: usize) -> usize {
        (PENDING + 1) * self.stride + MARGIN + column * self.side
    }

    /// Makes the last line of the row, before it is filtered, the one above the next.
    pub(crate) fn keep_unfiltered(&mut self) {
        let (above, last) = (self.above(), (PENDING + self.side) * self.stride);
        self.samples.copy_within(last..last + self.stride, above);
        // Left of the picture, and right of it, where blocks look beyond the last macroblock.
        let (margins, end) = (above + MARGIN, above + self.stride - MARGIN);
        self.samples[above..margins].fill(LEFT);
        let corner = self.samples[end - 1];
        self.samples[end..end + MARGIN].fill(corner);
    }

    /// Makes the last lines of the row those above the next, when it has been filtered.
    pub(crate) fn keep_filtered(&mut self) {
        let last = (1 + self.side) * self.stride;
        self.samples.copy_within(last..last + PENDING * self.stride, 0);
    }

    /// Lines of the row from `first` on, `width` samples each; those above it are negative.
    pub(crate) fn lines(&self, first: isize, width: usize) -> impl Iterator<Item = &[u8]> {
        let first = first + if first < 0 { PENDING as isize } else { PENDING as isize + 1 };
        let above = self.above() / self.stride;
        let lines = self.samples.chunks_exact(self.stride).enumerate().skip(first.max(0) as usize);
        let lines = lines.filter(move |(n, _)| *n != above);
        lines.map(move |(_, line)| line.get(MARGIN..MARGIN + width).unwrap_or_default())
    }
}
