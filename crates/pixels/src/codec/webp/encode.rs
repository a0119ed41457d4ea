//! Safe wrapper of the libwebp encoder. It only processes pixels from this crate, never untrusted files.

#![expect(unsafe_code, reason = "libwebp is a C library; each block states why it is sound")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;

use libwebp_sys::{
    WebPConfig, WebPEncode, WebPMemoryWrite, WebPMemoryWriter, WebPMemoryWriterClear, WebPMemoryWriterInit,
    WebPPicture, WebPPictureFree, WebPPictureImportRGB, WebPPictureImportRGBA,
};

pub(crate) mod animation;

use crate::codec::planes::Yuv420;
use crate::deadline::Deadline;
use crate::effort::WebpEffort;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// Sharpness of the loop filter, 0 to 7. The default of libwebp, 0, blurs image edges the most. 7 gains 0.4 points of
/// ssimulacra2 at 300 pixels and 0.6 at 800 (quality 80; 1.1 at quality 60, 1.7 at 30) in the mean of four to seven
/// images, at the same size and time.
const FILTER_SHARPNESS: c_int = 7;

/// Effort of lossless encoding, 0 to 100, which libwebp takes as the quality. This is its default.
const LOSSLESS_EFFORT: f32 = 70.0;

/// Encodes RGB or RGBA pixels as WebP. Quality 100 is lossless. Alpha is always lossless.
///
/// # Errors
/// A side has more than 16,383 pixels, or libwebp fails, for instance because memory is exhausted. libwebp reports no
/// reason. Or the deadline passed.
pub(crate) fn encode(
    pixels: &Pixels,
    quality: Quality,
    effort: WebpEffort,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    let mut picture = Picture::new(pixels.width, pixels.height, quality.is_lossless())?;
    let stride = picture.0.width.checked_mul(c_int::from(pixels.channels)).ok_or_else(failed)?;
    let import = match pixels.channels {
        3 => WebPPictureImportRGB,
        4 => WebPPictureImportRGBA,
        _ => return Err(failed()),
    };
    let bytes = u64::from(pixels.width) * u64::from(pixels.height) * u64::from(pixels.channels);
    if pixels.data.len() as u64 != bytes {
        return Err(failed());
    }
    // SAFETY: the picture is initialized with the width and height of the pixels. The function reads `height` rows of
    // `stride` bytes, which is the length of `data` as checked above, and keeps no pointer.
    let imported = unsafe { import(&raw mut picture.0, pixels.data.as_ptr(), stride) };
    if imported == 0 {
        return Err(failed());
    }
    picture.encode(quality, effort, deadline)
}

/// Encodes limited-range planes as lossy WebP. Luma alone is encoded with neutral chroma.
///
/// # Errors
/// See [`encode`].
pub(crate) fn encode_planes(
    mut planes: Yuv420,
    quality: Quality,
    effort: WebpEffort,
    deadline: Deadline,
) -> Result<Vec<u8>, Error> {
    if let [luma] = planes.planes.as_slice() {
        let (width, height) = (luma.width.div_ceil(2), luma.height.div_ceil(2));
        let gray = Pixels { width, height, channels: 1, data: vec![128; width as usize * height as usize] };
        planes.planes.extend([gray.clone(), gray]);
    }
    let [luma, blue, red] = planes.planes.as_mut_slice() else { return Err(failed()) };
    let mut picture = Picture::new(luma.width, luma.height, false)?;
    let half = (luma.width.div_ceil(2), luma.height.div_ceil(2));
    let fits = |plane: &Pixels, size: (u32, u32)| {
        (plane.width, plane.height) == size
            && plane.data.len() as u64 == u64::from(plane.width) * u64::from(plane.height)
    };
    if !(fits(luma, (luma.width, luma.height)) && fits(blue, half) && fits(red, half)) {
        return Err(failed());
    }
    let side = |n: u32| c_int::try_from(n).map_err(|_| failed());
    // The picture borrows the planes, which outlive it. libwebp frees only memory that it allocated.
    picture.0.y = luma.data.as_mut_ptr();
    picture.0.u = blue.data.as_mut_ptr();
    picture.0.v = red.data.as_mut_ptr();
    (picture.0.y_stride, picture.0.uv_stride) = (side(luma.width)?, side(half.0)?);
    picture.encode(quality, effort, deadline)
}

fn failed() -> Error {
    Error::Encode { reason: "libwebp encoding failed".to_owned() }
}

/// Owns a `WebPPicture` and its memory.
struct Picture(WebPPicture);

impl Picture {
    /// Creates a picture without samples. It will contain ARGB pixels if `is_lossless` is set, else 4:2:0 planes.
    fn new(width: u32, height: u32, is_lossless: bool) -> Result<Self, Error> {
        let side = |n: u32| c_int::try_from(n).ok().filter(|n| *n > 0).ok_or_else(failed);
        let mut picture = WebPPicture::new().map_err(|()| failed())?;
        (picture.width, picture.height, picture.use_argb) = (side(width)?, side(height)?, is_lossless.into());
        Ok(Self(picture))
    }

    fn encode(mut self, quality: Quality, effort: WebpEffort, deadline: Deadline) -> Result<Vec<u8>, Error> {
        let mut config = WebPConfig::new().map_err(|()| failed())?;
        config.lossless = self.0.use_argb;
        config.quality = if self.0.use_argb == 0 { f32::from(quality.get()) } else { LOSSLESS_EFFORT };
        config.method = effort.method().into();
        config.filter_sharpness = FILTER_SHARPNESS;
        let mut output = Output::new();
        self.0.writer = Some(WebPMemoryWrite);
        self.0.custom_ptr = (&raw mut output.0).cast();
        stop_at(&mut self.0, &deadline);
        // SAFETY: libwebp initialized the configuration and the picture for its version. The planes have the declared
        // sizes and strides, as the callers checked or libwebp allocated them. `custom_ptr` is the writer that
        // `WebPMemoryWrite` expects. It outlives the call and is not accessed during it. So does the deadline.
        let encoded = unsafe { WebPEncode(&raw const config, &raw mut self.0) };
        if encoded == 0 {
            // An encoder that the progress hook stopped fails like any other.
            deadline.check()?;
            return Err(failed());
        }
        output.bytes()
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the picture is initialized. The function frees only memory that libwebp allocated, which excludes the
        // planes that `encode_planes` lends, and clears the picture.
        unsafe { WebPPictureFree(&raw mut self.0) }
    }
}

/// Makes libwebp stop encoding `picture` once `deadline` has passed. The deadline must outlive the encoding.
fn stop_at(picture: &mut WebPPicture, deadline: &Deadline) {
    picture.progress_hook = Some(should_continue);
    picture.user_data = ptr::from_ref(deadline).cast_mut().cast();
}

/// Called by libwebp with the progress in percent, when it has changed. Zero stops the encoder.
unsafe extern "C" fn should_continue(_percent: c_int, picture: *const WebPPicture) -> c_int {
    // SAFETY: libwebp passes the picture that it encodes, or a copy. `stop_at` set its user data to a deadline, which
    // outlives the encoding and which only this function reads.
    let deadline = unsafe { (*picture).user_data.cast::<Deadline>().as_ref() };
    c_int::from(deadline.is_none_or(Deadline::is_ahead))
}

/// Owns the output buffer of libwebp.
struct Output(WebPMemoryWriter);

impl Output {
    fn new() -> Self {
        let mut writer = MaybeUninit::<WebPMemoryWriter>::uninit();
        // SAFETY: zeroing initializes all bytes, including the padding field that the function does not set. All fields
        // are valid when zero, and the function reads none before it sets them.
        unsafe {
            writer.as_mut_ptr().write_bytes(0, 1);
            WebPMemoryWriterInit(writer.as_mut_ptr());
            Self(writer.assume_init())
        }
    }

    fn bytes(&self) -> Result<Vec<u8>, Error> {
        if self.0.mem.is_null() {
            return Err(failed());
        }
        // SAFETY: libwebp wrote `size` bytes to `mem`, which this value owns.
        Ok(unsafe { slice::from_raw_parts(self.0.mem, self.0.size) }.to_vec())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the writer is initialized. The function frees its buffer once and clears it.
        unsafe { WebPMemoryWriterClear(&raw mut self.0) }
    }
}
