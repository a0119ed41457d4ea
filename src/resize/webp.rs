//! The door to libwebp, through which only our own pixels go, to be encoded. The one place of `unsafe` code.

#![expect(unsafe_code, reason = "libwebp is C; each block says why it is sound")]

use std::ffi::c_int;
use std::ptr;
use std::slice;

use libwebp_sys::{WebPEncodeRGB, WebPEncodeRGBA, WebPFree};

use super::RenderError;
use super::scale::Pixels;
use crate::variant::Quality;

/// Encodes RGB or RGBA pixels as lossy WebP; alpha is kept without loss.
///
/// # Errors
/// libwebp gives no reason: it has run out of memory, or a side is over 16,383 pixels.
pub(super) fn encode(pixels: &Pixels, quality: Quality) -> Result<Vec<u8>, RenderError> {
    let failed = || RenderError::Encode { reason: "libwebp returned nothing".to_owned() };
    let side = |n: u32| c_int::try_from(n).map_err(|_| failed());
    let (width, height) = (side(pixels.width)?, side(pixels.height)?);
    let stride = width.checked_mul(c_int::from(pixels.channels)).ok_or_else(failed)?;
    let bytes = u64::from(pixels.width) * u64::from(pixels.height) * u64::from(pixels.channels);
    let encode = match pixels.channels {
        3 => WebPEncodeRGB,
        4 => WebPEncodeRGBA,
        _ => return Err(failed()),
    };
    if bytes == 0 || pixels.data.len() as u64 != bytes {
        return Err(failed());
    }
    let mut output = Output(ptr::null_mut());
    // SAFETY: the function reads `height` rows of `stride` bytes each from its first argument, which is exactly the length
    // of `data`, checked above; none of them is zero. It keeps no pointer. It sets `output` to memory of its own, of as
    // many bytes as it returns, or returns 0.
    let length =
        unsafe { encode(pixels.data.as_ptr(), width, height, stride, f32::from(quality.get()), &raw mut output.0) };
    if length == 0 || output.0.is_null() {
        return Err(failed());
    }
    // SAFETY: libwebp has written `length` bytes at `output`, which nobody else knows of and which lives until it is
    // dropped at the end of this function.
    Ok(unsafe { slice::from_raw_parts(output.0, length) }.to_vec())
}

/// Memory that libwebp has allocated, or null.
struct Output(*mut u8);

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: it is null, which WebPFree takes, or came from libwebp and has not been freed: nothing else frees it.
        unsafe { WebPFree(self.0.cast()) }
    }
}
