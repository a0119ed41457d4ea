//! A few samples out of a line, and back, without a way to fail: places come from the size of the picture alone.

/// `N` samples from `at` on.
#[inline(always)]
pub(crate) fn part<const N: usize>(samples: &[u8], at: usize) -> [u8; N] {
    samples.get(at..).and_then(|line| line.first_chunk()).copied().unwrap_or([0; N])
}

/// Puts `N` samples from `at` on.
#[inline(always)]
pub(crate) fn put<const N: usize>(samples: &mut [u8], at: usize, part: [u8; N]) {
    if let Some(line) = samples.get_mut(at..).and_then(|line| line.first_chunk_mut()) {
        *line = part;
    }
}
