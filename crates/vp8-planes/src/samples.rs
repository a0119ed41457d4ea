//! Access to short runs of samples without a panic path. The size of the image guarantees that all accesses are in
//! bounds.

/// The address of a block in a plane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockAddress {
    /// Index of the top left sample.
    pub(crate) start: usize,
    /// Distance between the samples of adjacent lines.
    pub(crate) stride: usize,
}

impl BlockAddress {
    /// Index of the first sample of line `y`.
    #[inline(always)]
    pub(crate) fn line(self, y: usize) -> usize {
        self.start + y * self.stride
    }

    /// Address of the subblock of 4 x 4 samples at `column` and `row`.
    #[inline(always)]
    pub(crate) fn subblock(self, column: usize, row: usize) -> Self {
        Self { start: self.line(4 * row) + 4 * column, stride: self.stride }
    }
}

/// Reads `N` samples starting at `at`.
#[inline(always)]
pub(crate) fn load<const N: usize>(samples: &[u8], at: usize) -> [u8; N] {
    samples.get(at..).and_then(|line| line.first_chunk()).copied().unwrap_or([0; N])
}

/// Writes `N` samples starting at `at`.
#[inline(always)]
pub(crate) fn store<const N: usize>(samples: &mut [u8], at: usize, values: [u8; N]) {
    if let Some(line) = samples.get_mut(at..).and_then(|line| line.first_chunk_mut()) {
        *line = values;
    }
}
