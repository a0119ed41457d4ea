//! Animated WebP, frame by frame.

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

use crate::codec::animation::LoopCount;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// How much each frame is worked on, 0 to 6: a third of the time of 4, and few bytes more.
const METHOD: c_int = 2;

/// An encoder that has taken some frames of one size.
pub(crate) struct WebPAnimationEncoder {
    encoder: *mut WebPAnimEncoder,
    config: WebPConfig,
    side: (c_int, c_int),
    /// When the next frame begins.
    at_ms: c_int,
}

impl WebPAnimationEncoder {
    pub(crate) fn new((width, height): (u32, u32), quality: Quality, loop_count: LoopCount) -> Result<Self, Error> {
        let side = |n: u32| c_int::try_from(n).map_err(|_| failed());
        let side = (side(width)?, side(height)?);
        let abi = |version: u32| c_int::try_from(version).map_err(|_| failed());
        let (encoder_abi, mux_abi) = (abi(WEBP_ENCODER_ABI_VERSION)?, abi(WEBP_MUX_ABI_VERSION)?);
        let mut config = MaybeUninit::<WebPConfig>::uninit();
        let default = WebPPreset::WEBP_PRESET_DEFAULT;
        // SAFETY: the function writes a whole configuration to its first argument, which has room for one, if it returns
        // other than 0.
        let done =
            unsafe { WebPConfigInitInternal(config.as_mut_ptr(), default, f32::from(quality.get()), encoder_abi) };
        if done == 0 {
            return Err(failed());
        }
        // SAFETY: it has just been written whole.
        let mut config = unsafe { config.assume_init() };
        config.method = METHOD;
        config.lossless = c_int::from(quality.is_lossless());
        let mut options = MaybeUninit::<WebPAnimEncoderOptions>::uninit();
        // SAFETY: as above, of options.
        if unsafe { WebPAnimEncoderOptionsInitInternal(options.as_mut_ptr(), mux_abi) } == 0 {
            return Err(failed());
        }
        // SAFETY: it has just been written whole.
        let mut options = unsafe { options.assume_init() };
        options.anim_params.loop_count = c_int::from(loop_count.0);
        // SAFETY: the options are whole and are copied; the result is an encoder of its own, or null.
        let encoder = unsafe { WebPAnimEncoderNewInternal(side.0, side.1, &raw const options, mux_abi) };
        if encoder.is_null() { Err(failed()) } else { Ok(Self { encoder, config, side, at_ms: 0 }) }
    }

    /// Adds RGBA pixels that are shown so long.
    pub(crate) fn add(&mut self, pixels: &Pixels, shown: Duration) -> Result<(), Error> {
        let bytes = 4 * u64::from(pixels.width) * u64::from(pixels.height);
        let side = (c_int::try_from(pixels.width), c_int::try_from(pixels.height));
        if side != (Ok(self.side.0), Ok(self.side.1)) || pixels.channels != 4 || pixels.data.len() as u64 != bytes {
            return Err(failed());
        }
        let stride = self.side.0.checked_mul(4).ok_or_else(failed)?;
        let mut picture = Picture::new(self.side)?;
        // SAFETY: the function reads `height` rows of `stride` bytes, which is the length of `data`, checked above, into
        // memory that it allocates for the picture.
        if unsafe { WebPPictureImportRGBA(&raw mut picture.0, pixels.data.as_ptr(), stride) } == 0 {
            return Err(failed());
        }
        // SAFETY: encoder, picture and configuration are whole; the encoder copies what it keeps of the latter two.
        let added = unsafe { WebPAnimEncoderAdd(self.encoder, &raw mut picture.0, self.at_ms, &raw const self.config) };
        if added == 0 {
            return Err(failed());
        }
        let shown_ms = c_int::try_from(shown.as_millis()).map_err(|_| failed())?;
        self.at_ms = self.at_ms.checked_add(shown_ms).ok_or_else(failed)?;
        Ok(())
    }

    /// The file.
    pub(crate) fn finish(self) -> Result<Vec<u8>, Error> {
        // SAFETY: no picture and no configuration say that the last frame ends here.
        if unsafe { WebPAnimEncoderAdd(self.encoder, ptr::null_mut(), self.at_ms, ptr::null()) } == 0 {
            return Err(failed());
        }
        let mut file = WebPData::default();
        // SAFETY: the encoder is whole; the function sets `file` to memory of its own, or leaves it empty.
        let done = unsafe { WebPAnimEncoderAssemble(self.encoder, &raw mut file) } != 0;
        let bytes = if done && !file.bytes.is_null() {
            // SAFETY: that many bytes have been written there, and nobody else knows of them.
            Ok(unsafe { slice::from_raw_parts(file.bytes, file.size) }.to_vec())
        } else {
            Err(failed())
        };
        // SAFETY: it is empty or what libwebp has allocated, and is not used again.
        unsafe { WebPDataClear(&mut file) };
        bytes
    }
}

impl Drop for WebPAnimationEncoder {
    fn drop(&mut self) {
        // SAFETY: it came from libwebp, is not null, and is deleted here alone.
        unsafe { WebPAnimEncoderDelete(self.encoder) }
    }
}

/// A picture in libwebp's memory.
struct Picture(WebPPicture);

impl Picture {
    /// Of this size, without pixels yet.
    fn new((width, height): (c_int, c_int)) -> Result<Self, Error> {
        let mut picture = MaybeUninit::<WebPPicture>::uninit();
        // SAFETY: the function writes a whole picture, without pixels, if it returns true.
        if !unsafe { WebPPictureInit(picture.as_mut_ptr()) } {
            return Err(failed());
        }
        // SAFETY: it has just been written whole.
        let mut picture = unsafe { picture.assume_init() };
        (picture.width, picture.height, picture.use_argb) = (width, height, 1);
        Ok(Self(picture))
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the picture is whole, and its memory, if it has any, is libwebp's.
        unsafe { WebPPictureFree(&raw mut self.0) }
    }
}

fn failed() -> Error {
    Error::Encode { reason: "libwebp made no animation".to_owned() }
}
