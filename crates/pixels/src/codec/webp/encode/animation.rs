//! Encodes animated WebP with libwebp.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::slice;
use std::time::Duration;

use libwebp_sys::{
    WEBP_ENCODER_ABI_VERSION, WEBP_MUX_ABI_VERSION, WebPAnimEncoder, WebPAnimEncoderAdd, WebPAnimEncoderAssemble,
    WebPAnimEncoderDelete, WebPAnimEncoderNewInternal, WebPAnimEncoderOptions, WebPAnimEncoderOptionsInitInternal,
    WebPConfig, WebPConfigInitInternal, WebPData, WebPDataClear, WebPPicture, WebPPictureFree, WebPPictureImportRGBA,
    WebPPictureInit, WebPPreset,
};

use super::stop_at;
use crate::codec::animation::LoopCount;
use crate::deadline::Deadline;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// Effort of the encoder, 0 to 6. It takes a third of the time of effort 4, for slightly more bytes.
const METHOD: c_int = 2;

/// An encoder for frames of equal size.
pub(crate) struct WebPAnimationEncoder {
    encoder: *mut WebPAnimEncoder,
    config: WebPConfig,
    side: (c_int, c_int),
    /// Start time of the next frame.
    at_ms: c_int,
    /// True if a pixel of a frame is not opaque.
    has_alpha: bool,
    /// Boxed, because the encoder keeps its address in the copy of a frame.
    deadline: Box<Deadline>,
}

impl WebPAnimationEncoder {
    pub(crate) fn new(
        (width, height): (u32, u32),
        quality: Quality,
        loop_count: LoopCount,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let side = |n: u32| c_int::try_from(n).map_err(|_| failed());
        let side = (side(width)?, side(height)?);
        let abi = |version: u32| c_int::try_from(version).map_err(|_| failed());
        let (encoder_abi, mux_abi) = (abi(WEBP_ENCODER_ABI_VERSION)?, abi(WEBP_MUX_ABI_VERSION)?);
        let mut config = MaybeUninit::<WebPConfig>::uninit();
        let default = WebPPreset::WEBP_PRESET_DEFAULT;
        // SAFETY: the function initializes the configuration if it returns a nonzero value.
        let done =
            unsafe { WebPConfigInitInternal(config.as_mut_ptr(), default, f32::from(quality.get()), encoder_abi) };
        if done == 0 {
            return Err(failed());
        }
        // SAFETY: the function succeeded, so the value is initialized.
        let mut config = unsafe { config.assume_init() };
        config.method = METHOD;
        config.lossless = c_int::from(quality.is_lossless());
        let mut options = MaybeUninit::<WebPAnimEncoderOptions>::uninit();
        // SAFETY: the function initializes the options if it returns a nonzero value.
        if unsafe { WebPAnimEncoderOptionsInitInternal(options.as_mut_ptr(), mux_abi) } == 0 {
            return Err(failed());
        }
        // SAFETY: the function succeeded, so the value is initialized.
        let mut options = unsafe { options.assume_init() };
        options.anim_params.loop_count = c_int::from(loop_count.to_webp());
        // SAFETY: the options are initialized, and the function copies them. It returns a new encoder or null.
        let encoder = unsafe { WebPAnimEncoderNewInternal(side.0, side.1, &raw const options, mux_abi) };
        if encoder.is_null() {
            return Err(failed());
        }
        Ok(Self { encoder, config, side, at_ms: 0, has_alpha: false, deadline: Box::new(deadline) })
    }

    /// Adds a frame of RGBA pixels with its duration.
    pub(crate) fn add(&mut self, pixels: &Pixels, delay: Duration) -> Result<(), Error> {
        let bytes = 4 * u64::from(pixels.width) * u64::from(pixels.height);
        let side = (c_int::try_from(pixels.width), c_int::try_from(pixels.height));
        if side != (Ok(self.side.0), Ok(self.side.1)) || pixels.channels != 4 || pixels.data.len() as u64 != bytes {
            return Err(failed());
        }
        let stride = self.side.0.checked_mul(4).ok_or_else(failed)?;
        self.has_alpha |= pixels.data.as_chunks::<4>().0.iter().any(|pixel| pixel[3] < 255);
        let mut picture = Picture::new(self.side)?;
        // SAFETY: the function reads `height` rows of `stride` bytes, which is the length of `data` as checked above.
        // It allocates memory for the picture.
        if unsafe { WebPPictureImportRGBA(&raw mut picture.0, pixels.data.as_ptr(), stride) } == 0 {
            return Err(failed());
        }
        stop_at(&mut picture.0, &self.deadline);
        // SAFETY: encoder, picture and configuration are initialized. The encoder keeps no reference to the latter two.
        // The deadline lives as long as the encoder.
        let added = unsafe { WebPAnimEncoderAdd(self.encoder, &raw mut picture.0, self.at_ms, &raw const self.config) };
        if added == 0 {
            // An encoder that the progress hook stopped fails like any other.
            self.deadline.check()?;
            return Err(failed());
        }
        let delay_ms = c_int::try_from(delay.as_millis()).map_err(|_| failed())?;
        self.at_ms = self.at_ms.checked_add(delay_ms).ok_or_else(failed)?;
        Ok(())
    }

    /// Returns the file.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Error> {
        // SAFETY: the encoder is valid. A null picture and configuration mark the end of the last frame.
        if unsafe { WebPAnimEncoderAdd(self.encoder, ptr::null_mut(), self.at_ms, ptr::null()) } == 0 {
            return Err(failed());
        }
        let mut file = WebPData::default();
        // SAFETY: the encoder is valid. The function sets `file` to a new allocation, or leaves it empty.
        let done = unsafe { WebPAnimEncoderAssemble(self.encoder, &raw mut file) } != 0;
        let bytes = if done && !file.bytes.is_null() {
            // SAFETY: libwebp wrote `size` bytes to `bytes`, and has no other reference to them.
            Ok(unsafe { slice::from_raw_parts(file.bytes, file.size) }.to_vec())
        } else {
            Err(failed())
        };
        // SAFETY: `file` is empty or an allocation of libwebp, and is not used afterwards.
        unsafe { WebPDataClear(&mut file) };
        let mut bytes = bytes?;
        if self.has_alpha {
            set_alpha_flag(&mut bytes);
        }
        Ok(bytes)
    }
}

/// Sets the alpha flag of an extended file (RFC 9649, section 2.7). libwebp sets it only if a frame has alpha, but frames
/// are cropped, so the canvas may be transparent where they never paint it.
fn set_alpha_flag(file: &mut [u8]) {
    const FLAGS_AT: usize = 20;
    const ALPHA_FLAG: u8 = 0x10;
    if file.get(12..16) == Some(b"VP8X")
        && let Some(flags) = file.get_mut(FLAGS_AT)
    {
        *flags |= ALPHA_FLAG;
    }
}

impl Drop for WebPAnimationEncoder {
    fn drop(&mut self) {
        // SAFETY: the encoder was created by libwebp, is not null, and is deleted only here.
        unsafe { WebPAnimEncoderDelete(self.encoder) }
    }
}

/// Owns a `WebPPicture` and its memory.
struct Picture(WebPPicture);

impl Picture {
    /// Creates a picture without pixels.
    fn new((width, height): (c_int, c_int)) -> Result<Self, Error> {
        let mut picture = MaybeUninit::<WebPPicture>::uninit();
        // SAFETY: the function initializes the picture if it returns true.
        if !unsafe { WebPPictureInit(picture.as_mut_ptr()) } {
            return Err(failed());
        }
        // SAFETY: the function succeeded, so the value is initialized.
        let mut picture = unsafe { picture.assume_init() };
        (picture.width, picture.height, picture.use_argb) = (width, height, 1);
        Ok(Self(picture))
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the picture is initialized, and libwebp allocated its memory.
        unsafe { WebPPictureFree(&raw mut self.0) }
    }
}

fn failed() -> Error {
    Error::Encode { reason: "libwebp animation encoding failed".to_owned() }
}
