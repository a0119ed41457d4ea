//! Encodes AVIF with rav1e, a pure Rust encoder: one AV1 still image for color, and another for alpha.
//!
//! Colors are encoded as full-range BT.601: photographs in 4:2:0, drawings with sharp colors in 4:4:4, and gray images as
//! luma only.

use crate::codec::avif::container::AvifFile;
use crate::context::RenderContext;
use crate::encoding::{AvifDepth, Quality};
use crate::error::Error;
use crate::pixels::{Pixels, Sample};
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{Av1Frame, SandboxError, SandboxTask};
use crate::transform::color::Gamut;
use crate::yuv_image::{ChromaSubsampling, YuvSamples, YuvShape};

mod planes;
mod sharpness;

use planes::Planes;
use sharpness::has_sharp_colors;

/// Maximum number of pixels that are encoded in this process even if there is a sandbox. rav1e cannot be stopped within
/// a frame, but takes less than half a second for this many. Starting a process takes some milliseconds.
const IN_PROCESS_PIXELS_MAX: u64 = 1 << 17;

/// Samples of a frame as far as the header of the original determines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameKind {
    pub(crate) depth: AvifDepth,
    /// True if the frame is in 4:4:4 if the image has sharp colors. False for JPEG, lossy WebP and subsampled AVIF: they
    /// are photographs, or their chroma is blurred already.
    pub(crate) may_be_full: bool,
}

impl FrameKind {
    /// Upper bound, in bytes, on the memory that encoding a photograph takes in addition to the planes, in this process or
    /// in another. A process that needs more, for noise at a high quality, is ended.
    pub(crate) fn working_bytes(self, pixels: u64, quality: Quality) -> u64 {
        let above = u64::from(quality.get().saturating_sub(QUALITY_COMPACT));
        let pixel = PIXEL_BYTES + above * PIXEL_BYTES_PER_QUALITY / 100;
        // Measured for text in colors: three full planes instead of one and two halves, and twice the bytes per sample.
        let full = if self.may_be_full { 2 } else { 1 };
        let wide = if self.depth == AvifDepth::Ten { 2 } else { 1 };
        ENCODER_BYTES + pixel * full * wide * pixels
    }

    /// Bytes per pixel of the planes of color and alpha.
    pub(crate) fn plane_bytes(self) -> u64 {
        let samples = if self.may_be_full { 5 } else { 4 };
        samples * if self.depth == AvifDepth::Ten { 2 } else { 1 }
    }
}

/// Memory of the encoder for pictures of 0.1 to 11 megapixels: per picture, per pixel, and in hundredths per pixel and
/// quality above [`QUALITY_COMPACT`], at which most coefficients are zero.
const ENCODER_BYTES: u64 = 32 << 20;
const PIXEL_BYTES: u64 = 22;
const PIXEL_BYTES_PER_QUALITY: u64 = 50;
const QUALITY_COMPACT: u8 = 60;

/// Encodes gray or RGB pixels, with or without alpha.
///
/// # Errors
/// The deadline passed, the sandbox could not be started, or the encoder failed.
pub(crate) fn encode<S: Sample>(
    pixels: Pixels<S>,
    gamut: Gamut,
    quality: Quality,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let (width, height) = (pixels.width, pixels.height);
    let pixel_count = u64::from(width) * u64::from(height);
    let kind = FrameKind { depth: context.avif_depth, may_be_full: !context.is_subsampled };
    let sampling = match pixels.channels {
        1 | 2 => ChromaSubsampling::Cs400,
        _ if kind.may_be_full && has_sharp_colors(&pixels) => ChromaSubsampling::Cs444,
        _ => ChromaSubsampling::Cs420,
    };
    let Planes { color, alpha } = Planes::new(&pixels, kind.depth, sampling);
    // The process needs the memory.
    drop(pixels);
    let mut session = match context.sandbox {
        Some(_) if pixel_count > IN_PROCESS_PIXELS_MAX => {
            let bytes = kind.working_bytes(pixel_count, quality);
            Some(SandboxSession::start(SandboxTask::Encode, bytes, encoder_failed, context)?)
        }
        Some(_) | None => None,
    };
    let shape = YuvShape { width, height, depth: kind.depth.bits(), sampling };
    let mut still = |shape, planes, quantizer| {
        let frame = Av1Frame { shape, planes, quantizer };
        context.deadline.check()?;
        match &mut session {
            Some(session) => session.run(|worker| worker.encode(&frame)),
            None => encode_av1(&frame),
        }
    };
    let quantizer = quantizer(quality);
    let color = still(shape, color, quantizer)?;
    let alpha = alpha.filter(|alpha| !is_opaque(alpha, kind.depth));
    // Errors at the edges of alpha are more visible than color errors, so alpha has a finer quantizer.
    let gray = YuvShape { sampling: ChromaSubsampling::Cs400, ..shape };
    let alpha = alpha.map(|alpha| still(gray, vec![alpha], quantizer / 2)).transpose()?;
    context.deadline.check()?;
    AvifFile { shape, gamut, color: &color, alpha: alpha.as_deref(), xmp: context.xmp }.to_bytes()
}

fn is_opaque(alpha: &YuvSamples, depth: AvifDepth) -> bool {
    match alpha {
        YuvSamples::U8(samples) => samples.iter().all(|sample| *sample == u8::MAX),
        YuvSamples::U16(samples) => samples.iter().all(|sample| *sample == depth.sample_max()),
    }
}

/// Encodes one image as AV1. The call cannot be stopped.
///
/// # Errors
/// [`Error::Encode`] if the planes have other sizes than the frame, or the encoder fails.
pub fn encode_av1(frame: &Av1Frame) -> Result<Vec<u8>, Error> {
    let Av1Frame { shape, planes, quantizer } = frame;
    let YuvShape { width, height, depth, sampling } = *shape;
    let sizes = (0..sampling.planes()).map(|n| sampling.plane_size(n, (width, height)));
    let lengths = sizes.map(|(width, height)| width as usize * height as usize);
    let chroma = match sampling {
        ChromaSubsampling::Cs444 => av1_still::Chroma::Full,
        ChromaSubsampling::Cs400 | ChromaSubsampling::Cs420 => av1_still::Chroma::Half,
        ChromaSubsampling::Cs422 => return Err(failed(&"4:2:2 is not encoded")),
    };
    let bytes = planes.iter().map(|plane| if let YuvSamples::U8(samples) = plane { Some(&samples[..]) } else { None });
    let words = planes.iter().map(|plane| if let YuvSamples::U16(samples) = plane { Some(&samples[..]) } else { None });
    let samples = match depth {
        8 => bytes.collect::<Option<_>>().map(av1_still::Planes::Eight),
        10 => words.collect::<Option<_>>().map(av1_still::Planes::Ten),
        _ => None,
    };
    let samples = samples.filter(|_| lengths.eq(planes.iter().map(YuvSamples::len)));
    let samples = samples.ok_or_else(|| failed(&"the planes do not fit the frame"))?;
    let size = (width as usize, height as usize);
    av1_still::encode(size.0, size.1, chroma, &samples, usize::from(*quantizer))
        .map_err(|reason| Error::Encode { reason })
}

/// Maps a quality of 1 to 100 linearly to the quantizer indices 255 to 0 of AV1.
fn quantizer(quality: Quality) -> u8 {
    u8::try_from((255 * (100 - u32::from(quality.get())) + 50) / 100).unwrap_or(u8::MAX)
}

fn encoder_failed(error: SandboxError) -> Error {
    match error {
        SandboxError::OutOfMemory => Error::EncoderMemory,
        error => failed(&error),
    }
}

fn failed(error: &dyn ToString) -> Error {
    Error::Encode { reason: error.to_string() }
}
