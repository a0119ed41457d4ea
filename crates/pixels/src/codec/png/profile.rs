//! Decompresses the ICC profile and the text of a PNG, up to limits that do not depend on the size of the image.

use crate::transform::color::PROFILE_BYTES_MAX;

/// Bytes of the profile that are decompressed at first. Most profiles are smaller.
const PROFILE_BYTES_FIRST: usize = 64 << 10;

/// Decompresses the payload of an iCCP chunk. `None` if it is damaged, or the profile has more than
/// [`PROFILE_BYTES_MAX`].
pub(super) fn decompress(data: &[u8]) -> Option<Vec<u8>> {
    // A name of 1 to 79 bytes, zero, and the compression method, which is zero.
    let name = data.iter().take(80).position(|byte| *byte == 0).filter(|length| *length > 0)?;
    let compressed = data.get(name + 1..)?.strip_prefix(&[0])?;
    match inflate(compressed, PROFILE_BYTES_FIRST).ok()? {
        None => inflate(compressed, PROFILE_BYTES_MAX).ok()?,
        profile => profile,
    }
}

/// Decompresses a zlib stream. `None` if it is damaged, or the result has more than `bytes_max`.
pub(crate) fn inflate_at_most(compressed: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    inflate(compressed, bytes_max).ok()?
}

/// Decompresses a zlib stream. `Ok(None)` if the result has more than `bytes_max`.
fn inflate(compressed: &[u8], bytes_max: usize) -> Result<Option<Vec<u8>>, fdeflate::DecompressionError> {
    let mut decompressor = fdeflate::Decompressor::new();
    let mut output = vec![0; bytes_max];
    let (mut read, mut written) = (0, 0);
    while !decompressor.is_done() {
        let (consumed, produced) = decompressor.read(&compressed[read..], &mut output, written, true)?;
        (read, written) = (read + consumed, written + produced);
        if written == bytes_max && !decompressor.is_done() {
            return Ok(None);
        }
    }
    output.truncate(written);
    output.shrink_to_fit();
    Ok(Some(output))
}
