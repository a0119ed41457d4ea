//! The door to libwebp, through which only our own pixels go, to be encoded. The one place of `unsafe` code.

#![expect(unsafe_code, reason = "libwebp is C; each block says why it is sound")]

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::slice;

use libwebp_sys::{
    WebPConfig, WebPEncode, WebPMemoryWrite, WebPMemoryWriter, WebPMemoryWriterClear, WebPMemoryWriterInit,
    WebPPicture, WebPPictureFree, WebPPictureImportRGB, WebPPictureImportRGBA,
};

pub(crate) mod animation;

use crate::codec::planes::Yuv420;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;

/// How hard libwebp tries, 0 to 6.
const METHOD: c_int = 4;

/// How far the decoder's filter of block edges keeps off edges that are the picture's own, 0 to 7. libwebp's 0 blurs the most:
/// 7 gives 0.4 points of ssimulacra2 at 300 pixels and 0.6 at 800 (quality 80; 1.1 at quality 60, 1.7 at 30) in the mean of four
/// to seven pictures, at the same bytes and time.
const FILTER_SHARPNESS: c_int = 7;

/// What quality means where nothing is lost: how much time is spent on a smaller file. libwebp's own choice.
const LOSSLESS_EFFORT: f32 = 70.0;

/// Encodes RGB or RGBA pixels as WebP, at quality 100 without loss; alpha is always kept without loss.
///
/// # Errors
/// libwebp gives no reason: it has run out of memory, or a side is over 16,383 pixels.
pub(crate) fn encode(pixels: &Pixels, quality: Quality) -> Result<Vec<u8>, Error> {
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
    // SAFETY: the picture has been initialized, and its width and height are those of the pixels. The function reads
    // `height` rows of `stride` bytes each, which is exactly the length of `data`, checked above, and keeps no pointer.
    let imported = unsafe { import(&raw mut picture.0, pixels.data.as_ptr(), stride) };
    if imported == 0 {
        return Err(failed());
    }
    picture.encode(quality)
}

/// Encodes planes of limited range as lossy WebP. Luma alone gets chroma without color.
///
/// # Errors
/// See [`encode`].
pub(crate) fn encode_planes(mut planes: Yuv420, quality: Quality) -> Result<Vec<u8>, Error> {
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
    // Lent to the picture: they are ours alone, outlive it, and it frees only what it has allocated itself.
    picture.0.y = luma.data.as_mut_ptr();
    picture.0.u = blue.data.as_mut_ptr();
    picture.0.v = red.data.as_mut_ptr();
    (picture.0.y_stride, picture.0.uv_stride) = (side(luma.width)?, side(half.0)?);
    picture.encode(quality)
}

fn failed() -> Error {
    Error::Encode { reason: "libwebp returned nothing".to_owned() }
}

/// A picture of libwebp's in 4:2:0, and what it has allocated for it.
struct Picture(WebPPicture);

impl Picture {
    /// Of this size, and without any samples yet; those will be colors where nothing is to be lost, else planes.
    fn new(width: u32, height: u32, is_lossless: bool) -> Result<Self, Error> {
        let side = |n: u32| c_int::try_from(n).ok().filter(|n| *n > 0).ok_or_else(failed);
        let mut picture = WebPPicture::new().map_err(|()| failed())?;
        (picture.width, picture.height, picture.use_argb) = (side(width)?, side(height)?, is_lossless.into());
        Ok(Self(picture))
    }

    fn encode(mut self, quality: Quality) -> Result<Vec<u8>, Error> {
        let mut config = WebPConfig::new().map_err(|()| failed())?;
        config.lossless = self.0.use_argb;
        config.quality = if self.0.use_argb == 0 { f32::from(quality.get()) } else { LOSSLESS_EFFORT };
        config.method = METHOD;
        config.filter_sharpness = FILTER_SHARPNESS;
        let mut output = Output::new();
        self.0.writer = Some(WebPMemoryWrite);
        self.0.custom_ptr = (&raw mut output.0).cast();
        // SAFETY: config and picture have been initialized by libwebp and are of its own version; the picture's planes are as
        // large as its sizes and strides say (checked by the callers, or allocated by libwebp). `custom_ptr` is the
        // writer that WebPMemoryWrite expects; it lives until after the call, and nobody else touches it meanwhile.
        let encoded = unsafe { WebPEncode(&raw const config, &raw mut self.0) };
        if encoded == 0 { Err(failed()) } else { output.bytes() }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the picture has been initialized; this frees what libwebp has allocated for it, which is none of the
        // planes that `encode_planes` has lent it, and leaves it without any.
        unsafe { WebPPictureFree(&raw mut self.0) }
    }
}

/// Where libwebp writes to.
struct Output(WebPMemoryWriter);

impl Output {
    fn new() -> Self {
        let mut writer = MaybeUninit::<WebPMemoryWriter>::uninit();
        // SAFETY: the function sets every field that is read, none of which it reads before; the padding is a plain number,
        // and any bits make one, but they must be bits: they are zeroed first.
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
        // SAFETY: libwebp has written `size` bytes at `mem`, which nobody else knows of and which lives until it is dropped.
        Ok(unsafe { slice::from_raw_parts(self.0.mem, self.0.size) }.to_vec())
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: the writer has been initialized; this frees what it holds, once, and leaves it empty.
        unsafe { WebPMemoryWriterClear(&raw mut self.0) }
    }
}
