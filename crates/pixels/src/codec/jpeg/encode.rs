//! Encodes planes as JPEG.

use jpeg_planes::{Effort, EncodeError, PlaneLayout, PlaneRef, Scans};

use crate::codec::planes::Yuv420;
use crate::deadline::Deadline;
use crate::effort::JpegEffort;
use crate::encoding::Quality;
use crate::error::Error;
use crate::limits::EncodeOptions;

/// Encodes a file in 4:2:0 with optimized Huffman tables: baseline, or progressive if `options` allow it and it is smaller.
///
/// # Errors
/// The deadline passed, or the encoder fails, which valid planes do not cause.
pub(crate) fn encode_planes(
    planes: &Yuv420,
    quality: Quality,
    options: &EncodeOptions,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    let refs: Vec<_> =
        planes.planes.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
    let layout = if refs.len() == 1 { PlaneLayout::Gray } else { PlaneLayout::YCbCr420 };
    let effort = match options.jpeg_effort {
        JpegEffort::Fast => Effort::Fast,
        JpegEffort::Small => Effort::Small,
    };
    let scans = if may_be_progressive(options) { Scans::Progressive } else { Scans::Sequential };
    let options =
        jpeg_planes::EncodeOptions { quality: quality.get(), effort, scans, should_continue: &|| deadline.is_ahead() };
    let encoded = jpeg_planes::encode_with(&refs, layout, &options);
    encoded.map_err(|error| match error {
        EncodeError::Cancelled => deadline.error(),
        error => Error::Encode { reason: error.to_string() },
    })
}

/// True if the file is encoded from stored coefficients, as baseline and as progressive file.
fn may_be_progressive(options: &EncodeOptions) -> bool {
    options.jpeg_progressive || options.jpeg_effort == JpegEffort::Small
}

/// Memory of the encoder in addition to the planes and the result: 1.5 coefficients of 2 bytes per pixel, and the baseline
/// and the progressive file, which take up to 2 bytes per pixel each.
pub(crate) fn working_bytes(options: &EncodeOptions, pixels: u64) -> u64 {
    if may_be_progressive(options) { 8 * pixels } else { 0 }
}
