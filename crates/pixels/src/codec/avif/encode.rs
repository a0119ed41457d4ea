//! Encodes AVIF with rav1e, a pure Rust encoder: one AV1 still image for color, and another for alpha.
//!
//! Colors are encoded as full-range BT.601 in 4:2:0, gray images as luma only.

use avif_serialize::Aviffy;
use avif_serialize::constants::{ColorPrimaries, MatrixCoefficients};

use crate::context::RenderContext;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixels::Pixels;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{Av1Frame, SandboxError, SandboxTask};
use crate::transform::color::Gamut;

/// Maximum number of pixels that are encoded in this process even if there is a sandbox. rav1e cannot be stopped within
/// a frame, but takes less than half a second for this many. Starting a process takes some milliseconds.
const IN_PROCESS_PIXELS_MAX: u64 = 1 << 17;

/// Upper bound, in bytes, on the memory that encoding a photograph takes in addition to the planes, in this process or in
/// another. A process that needs more, for noise at a high quality, is ended.
pub(crate) fn working_bytes(pixels: u64, quality: Quality) -> u64 {
    let above = u64::from(quality.get().saturating_sub(QUALITY_COMPACT));
    ENCODER_BYTES + (PIXEL_BYTES + above * PIXEL_BYTES_PER_QUALITY / 100) * pixels
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
pub(crate) fn encode(
    pixels: Pixels,
    gamut: Gamut,
    quality: Quality,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let (width, height) = (pixels.width, pixels.height);
    let pixel_count = u64::from(width) * u64::from(height);
    let (planes, alpha) = planes(&pixels);
    // The process needs the memory.
    drop(pixels);
    let mut session = match context.sandbox {
        Some(_) if pixel_count > IN_PROCESS_PIXELS_MAX => Some(SandboxSession::start(
            SandboxTask::Encode,
            working_bytes(pixel_count, quality),
            encoder_failed,
            context,
        )?),
        Some(_) | None => None,
    };
    let mut still = |planes, quantizer| {
        let frame = Av1Frame { width, height, planes, quantizer };
        context.deadline.check()?;
        match &mut session {
            Some(session) => session.run(|worker| worker.encode(&frame)),
            None => encode_av1(&frame),
        }
    };
    let quantizer = quantizer(quality);
    let is_gray = planes.len() == 1;
    let color = still(planes, quantizer)?;
    let alpha = alpha.filter(|alpha| alpha.iter().any(|&alpha| alpha != u8::MAX));
    // Errors at the edges of alpha are more visible than color errors, so alpha has a finer quantizer.
    let alpha = alpha.map(|alpha| still(vec![alpha], quantizer / 2)).transpose()?;
    context.deadline.check()?;
    let mut file = Aviffy::new();
    file.set_matrix_coefficients(MatrixCoefficients::Bt601);
    if gamut == Gamut::DisplayP3 {
        file.set_color_primaries(ColorPrimaries::DisplayP3);
    }
    if is_gray {
        file.set_monochrome(true);
    }
    file.set_chroma_subsampling((true, true));
    let mut bytes = Vec::with_capacity(color.len() + 512);
    file.write(&mut bytes, &color, alpha.as_deref(), width, height, 8).map_err(|error| failed(&error))?;
    Ok(bytes)
}

/// Encodes one image as AV1. The call cannot be stopped.
///
/// # Errors
/// [`Error::Encode`] if the planes have other sizes than the frame, or the encoder fails.
pub fn encode_av1(frame: &Av1Frame) -> Result<Vec<u8>, Error> {
    let Av1Frame { width, height, planes, quantizer } = frame;
    let (width, height) = (*width as usize, *height as usize);
    let half = (width.div_ceil(2), height.div_ceil(2));
    let fits = planes.iter().zip([(width, height), half, half]).all(|(plane, (w, h))| plane.len() == w * h);
    if !fits || !matches!(planes.len(), 1 | 3) {
        return Err(failed(&"the planes do not fit the frame"));
    }
    av1_still::encode(width, height, planes, usize::from(*quantizer)).map_err(|reason| Error::Encode { reason })
}

/// Returns the color planes (luma, or luma and both chroma planes), and the alpha plane if the pixels have one.
fn planes(pixels: &Pixels) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
    let channels = usize::from(pixels.channels);
    let all = pixels.data.chunks_exact(channels);
    let alpha = match channels {
        2 | 4 => Some(all.clone().map(|pixel| pixel[channels - 1]).collect()),
        _ => None,
    };
    if channels <= 2 {
        return (vec![all.map(|pixel| pixel[0]).collect()], alpha);
    }
    let luma = all.map(|pixel| luma(i32::from(pixel[0]), i32::from(pixel[1]), i32::from(pixel[2]))).collect();
    let stride = pixels.width as usize * channels;
    let (mut blue, mut red) = (Vec::new(), Vec::new());
    for rows in pixels.data.chunks(2 * stride) {
        for x in (0..stride).step_by(2 * channels) {
            // A square of 2 x 2 pixels, of which only a part exists at the right and bottom edges.
            let places = [x, x + channels, stride + x, stride + x + channels];
            let inside =
                [true, x + channels < stride, rows.len() > stride, x + channels < stride && rows.len() > stride];
            let seen = places.into_iter().zip(inside).filter(|(_, inside)| *inside).map(|(at, _)| &rows[at..at + 3]);
            let (sums, count) = seen.fold(([0_i32; 3], 0), |([r, g, b], n), pixel| {
                ([r + i32::from(pixel[0]), g + i32::from(pixel[1]), b + i32::from(pixel[2])], n + 1)
            });
            let [r, g, b] = sums.map(|sum| (sum + count / 2) / count);
            // The chroma rows of the BT.601 matrix (ITU-T T.871, section 7), in fixed point with 16 fractional bits.
            blue.push(byte((-11_059 * r - 21_709 * g + 32_768 * b + (128 << 16) + (1 << 15)) >> 16));
            red.push(byte((32_768 * r - 27_439 * g - 5_329 * b + (128 << 16) + (1 << 15)) >> 16));
        }
    }
    (vec![luma, blue, red], alpha)
}

fn luma(r: i32, g: i32, b: i32) -> u8 {
    byte((19_595 * r + 38_470 * g + 7_471 * b + (1 << 15)) >> 16)
}

fn byte(sample: i32) -> u8 {
    u8::try_from(sample.clamp(0, 255)).unwrap_or(0)
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
