//! Smaller PNG of the same pixels, for `formats.png_effort = "small"`.

use oxipng::{Deflater, FilterStrategy, Options, StripChunks, optimize_from_memory};

use crate::deadline::Deadline;
use crate::error::Error;

/// Maximum number of pixels. One filter with its compression is not interrupted, and takes up to half a second for a
/// picture of this size.
pub(crate) const PIXELS_MAX: u32 = 2_000_000;

/// Memory of the optimizer for so many pixels: the pixels as decoded, reduced and filtered, compressed candidates, and the
/// tables of the compressor.
pub(super) fn bytes(pixels: u64) -> u64 {
    if pixels > PIXELS_MAX.into() { 0 } else { 28 * pixels + (9 << 20) }
}

/// Returns a file of the same pixels that is at most as long. The colors of transparent pixels may change.
///
/// # Errors
/// The deadline passed.
pub(super) fn smaller(file: Vec<u8>, (width, height): (u32, u32), deadline: Deadline) -> Result<Vec<u8>, Error> {
    if u64::from(width) * u64::from(height) > PIXELS_MAX.into() {
        return Ok(file);
    }
    let options = Options {
        filters: [FilterStrategy::NONE, FilterStrategy::SUB, FilterStrategy::Entropy, FilterStrategy::Bigrams]
            .into_iter()
            .collect(),
        deflater: Deflater::Libdeflater { compression: 11 },
        optimize_alpha: true,
        strip: StripChunks::None,
        timeout: Some(deadline.remaining()),
        ..Options::from_preset(2)
    };
    let smaller = optimize_from_memory(&file, &options);
    deadline.check()?;
    // The optimizer refuses no file of the encoder. If it did, the file would still be right.
    Ok(smaller.ok().filter(|smaller| smaller.len() < file.len()).unwrap_or(file))
}
