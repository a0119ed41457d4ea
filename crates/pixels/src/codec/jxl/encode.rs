//! Encodes JPEG XL with `jixel`, a pure Rust encoder, in a [`Sandbox`](crate::Sandbox).
//!
//! The encoder has much `unsafe` code, cannot be stopped, and does not limit its memory. In its own process an endless loop,
//! an abort or a wrong pointer ends only one variant. Without a sandbox, which only tests and programs without a server
//! lack, it runs in this process, and a panic is an error.

use std::panic::{self, AssertUnwindSafe};

use jixel::{ColorEncoding, ColorSpace, EncodeConfig, EncodeError, FlMeta, Speed};

use crate::context::RenderContext;
use crate::encoding::Quality;
use crate::error::Error;
use crate::pixel_image::{PixelLayout, PixelShape};
use crate::pixels::{Pixels, Sample};
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{JxlCoding, JxlColors, JxlPicture, SandboxError, SandboxTask};
use crate::transform::color::Gamut;
use crate::yuv_image::YuvSamples;

mod drawing;

use drawing::is_drawing;

/// Upper bound, in bytes, on the memory of the encoder and of the samples that its process reads. `is_deep` means samples
/// of 16 bits. Measured for noise of 0.1 to 6 megapixels with alpha: lossless coding takes 73 bytes per pixel, and lossy
/// coding 13 MiB and 49 bytes per pixel, or 61 with more than 8 bits.
pub(crate) fn working_bytes(pixels: u64, is_deep: bool) -> u64 {
    ENCODER_BYTES + if is_deep { DEEP_PIXEL_BYTES } else { PIXEL_BYTES } * pixels
}

/// Memory of the encoder per picture and per pixel.
const ENCODER_BYTES: u64 = 32 << 20;
const PIXEL_BYTES: u64 = 100;
const DEEP_PIXEL_BYTES: u64 = 140;

/// A sample type of [`JxlPicture`].
pub(crate) trait JxlSample: Sample + PartialEq {
    fn into_samples(data: Vec<Self>) -> YuvSamples;
}

impl JxlSample for u8 {
    fn into_samples(data: Vec<Self>) -> YuvSamples {
        YuvSamples::U8(data)
    }
}

impl JxlSample for u16 {
    fn into_samples(data: Vec<Self>) -> YuvSamples {
        YuvSamples::U16(data)
    }
}

/// Encodes gray or RGB pixels, with or without alpha.
///
/// # Errors
/// The deadline passed, the sandbox could not be started, or the encoder failed.
pub(crate) fn encode<S: JxlSample>(
    pixels: Pixels<S>,
    gamut: Gamut,
    quality: Quality,
    context: &RenderContext,
) -> Result<Vec<u8>, Error> {
    let pixels = without_opaque_alpha(pixels);
    let distance = distance(quality);
    let coding = match quality.is_lossless() {
        true => JxlCoding::Lossless,
        // The chroma of subsampled originals is blurred, and their flat areas have noise.
        false if !context.is_subsampled && is_drawing(&pixels) => JxlCoding::Smaller(distance),
        false => JxlCoding::Lossy(distance),
    };
    let layout = match pixels.channels {
        1 => PixelLayout::Gray,
        2 => PixelLayout::GrayAlpha,
        3 => PixelLayout::Rgb,
        _ => PixelLayout::Rgba,
    };
    let colors = match gamut {
        Gamut::Srgb => JxlColors::Srgb,
        Gamut::DisplayP3 => JxlColors::DisplayP3,
    };
    let shape = PixelShape { width: pixels.width, height: pixels.height, layout };
    let picture = JxlPicture { shape, samples: S::into_samples(pixels.data), colors, coding };
    context.deadline.check()?;
    if context.sandbox.is_none() {
        return encode_jxl(&picture);
    }
    let is_deep = matches!(picture.samples, YuvSamples::U16(_));
    let bytes = working_bytes(u64::from(shape.width) * u64::from(shape.height), is_deep);
    let mut session = SandboxSession::start(SandboxTask::Encode, bytes, encoder_failed, context)?;
    session.run(|worker| worker.encode_jxl(&picture))
}

/// The pixels without their alpha channel if all are opaque.
fn without_opaque_alpha<S: Sample + PartialEq>(pixels: Pixels<S>) -> Pixels<S> {
    let channels = usize::from(pixels.channels);
    if !matches!(channels, 2 | 4) || pixels.data.chunks_exact(channels).any(|pixel| pixel[channels - 1] != S::WHITE) {
        return pixels;
    }
    let colors = pixels.data.chunks_exact(channels).flat_map(|pixel| &pixel[..channels - 1]);
    Pixels { channels: pixels.channels - 1, data: colors.copied().collect(), ..pixels }
}

/// Qualities, and the distances at which a photograph has the ssimulacra2 of our JPEG at that quality: the geometric means
/// for 16 photographs at 300 and 800 pixels. Those below 30 and above 95 are extrapolated. `benches/jxl/compare.py` compares the
/// scores.
const DISTANCES: [(f32, f32); 9] = [
    (1.0, 15.0),
    (10.0, 8.5),
    (30.0, 4.03),
    (50.0, 2.49),
    (65.0, 1.98),
    (80.0, 1.39),
    (90.0, 0.85),
    (95.0, 0.52),
    (100.0, 0.1),
];

/// The distance, in units of butteraugli, of a quality on the scale of JPEG.
fn distance(quality: Quality) -> f32 {
    let quality = f32::from(quality.get());
    let after = DISTANCES.iter().position(|(at, _)| *at >= quality).unwrap_or(DISTANCES.len() - 1).max(1);
    let ((low, from), (high, to)) = (DISTANCES[after - 1], DISTANCES[after]);
    from + (to - from) * (quality - low) / (high - low)
}

/// Encodes one image as JPEG XL in this process. The call cannot be stopped.
///
/// # Errors
/// [`Error::Encode`] if the number of samples does not fit the shape, or the encoder fails.
pub fn encode_jxl(picture: &JxlPicture) -> Result<Vec<u8>, Error> {
    let PixelShape { width, height, layout } = picture.shape;
    let samples = u64::from(width) * u64::from(height) * u64::from(layout.channels());
    if picture.samples.len() as u64 != samples {
        return Err(failed(&"the samples do not fit the shape"));
    }
    let distance = match picture.coding {
        JxlCoding::Lossless => return encode_once(picture, None),
        JxlCoding::Lossy(distance) | JxlCoding::Smaller(distance) => distance,
    };
    let lossy = encode_once(picture, Some(distance))?;
    if matches!(picture.coding, JxlCoding::Smaller(_)) {
        let lossless = encode_fast_lossless(picture)?;
        return Ok(if lossless.len() <= lossy.len() { lossless } else { lossy });
    }
    Ok(lossy)
}

/// Encodes at a distance, or lossless without one.
fn encode_once(picture: &JxlPicture, distance: Option<f32>) -> Result<Vec<u8>, Error> {
    let color_encoding = match picture.colors {
        JxlColors::Srgb => ColorEncoding::srgb(),
        JxlColors::DisplayP3 => ColorEncoding::display_p3(),
    };
    let mut config = EncodeConfig::default()
        .with_num_threads(1)
        .with_speed(Speed::Fastest)
        .with_color_encoding(color_encoding)
        .with_lossless(distance.is_none());
    if let Some(distance) = distance {
        // Errors at the edges of alpha are more visible than color errors.
        config = config.with_distance(distance).with_alpha_distance(distance / 2.0);
    }
    caught(|| call(picture, &config))
}

/// Encodes lossless in about a fifth of the time of the other coder, which makes drawings 0 to 10 % smaller.
fn encode_fast_lossless(picture: &JxlPicture) -> Result<Vec<u8>, Error> {
    let PixelShape { width, height, layout } = picture.shape;
    let (width, height) = (width as usize, height as usize);
    let (space, has_alpha) = match layout {
        PixelLayout::Gray => (ColorSpace::Gray, false),
        PixelLayout::GrayAlpha => (ColorSpace::Gray, true),
        PixelLayout::Rgb | PixelLayout::Cmyk => (ColorSpace::Rgb, false),
        PixelLayout::Rgba => (ColorSpace::Rgb, true),
    };
    let meta = match picture.colors {
        JxlColors::Srgb => FlMeta::srgb(),
        JxlColors::DisplayP3 => FlMeta::display_p3(),
    };
    caught(|| match &picture.samples {
        YuvSamples::U8(data) => jixel::encode_fast_lossless(data, width, height, space, has_alpha, &meta),
        YuvSamples::U16(data) => jixel::encode_fast_lossless_u16(data, width, height, space, has_alpha, 16, &meta),
    })
}

/// Calls the encoder. A panic is an error.
fn caught(encode: impl FnOnce() -> Result<Vec<u8>, EncodeError>) -> Result<Vec<u8>, Error> {
    let made = panic::catch_unwind(AssertUnwindSafe(encode));
    let made = made.map_err(|_| failed(&"the JPEG XL encoder panicked"))?;
    made.map_err(|error| match error {
        EncodeError::AllocationFailed { .. } => Error::EncoderMemory,
        error => Error::Encode { reason: format!("the JPEG XL encoder failed: {error:?}") },
    })
}

fn call(picture: &JxlPicture, config: &EncodeConfig) -> Result<Vec<u8>, EncodeError> {
    let PixelShape { width, height, layout } = picture.shape;
    let (width, height) = (width as usize, height as usize);
    match &picture.samples {
        YuvSamples::U8(data) => match layout {
            PixelLayout::Gray => jixel::encode_image_gray(data, width, height, config),
            PixelLayout::GrayAlpha => jixel::encode_image_gray_alpha(data, width, height, config),
            PixelLayout::Rgb => jixel::encode_image(data, width, height, config),
            PixelLayout::Rgba => jixel::encode_image_with_alpha(data, width, height, config),
            PixelLayout::Cmyk => Err(EncodeError::Unsupported("CMYK")),
        },
        YuvSamples::U16(data) if config.lossless => match layout {
            PixelLayout::Gray => jixel::encode_image_gray_16bit(data, width, height, config),
            PixelLayout::GrayAlpha => jixel::encode_image_gray_alpha_16bit(data, width, height, config),
            PixelLayout::Rgb => jixel::encode_image_16bit(data, width, height, config),
            PixelLayout::Rgba => jixel::encode_image_with_alpha_16bit(data, width, height, config),
            PixelLayout::Cmyk => Err(EncodeError::Unsupported("CMYK")),
        },
        // Decoders of level 5 need not accept alpha of 16 bits.
        YuvSamples::U16(data) => {
            let data: Vec<u16> = data.iter().map(|sample| twelve_bits(*sample)).collect();
            match layout {
                PixelLayout::Gray => jixel::encode_image_gray_12bit(&data, width, height, config),
                PixelLayout::GrayAlpha => jixel::encode_image_gray_alpha_12bit(&data, width, height, config),
                PixelLayout::Rgb => jixel::encode_image_12bit(&data, width, height, config),
                PixelLayout::Rgba => jixel::encode_image_with_alpha_12bit(&data, width, height, config),
                PixelLayout::Cmyk => Err(EncodeError::Unsupported("CMYK")),
            }
        }
    }
}

/// The nearest sample of 0 to 4095.
fn twelve_bits(sample: u16) -> u16 {
    u16::try_from((u32::from(sample) * 4095 + 32_767) / 65_535).unwrap_or(4095)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_quality_has_a_smaller_distance_within_the_range_of_the_encoder() {
        let distances: Vec<f32> = (1..=100).map(|n| distance(Quality::new(n).unwrap())).collect();
        assert!(distances.is_sorted_by(|a, b| a > b), "{distances:?}");
        assert!(distances.iter().all(|distance| (0.05..=25.0).contains(distance)), "{distances:?}");
    }

    #[test]
    fn samples_that_do_not_fit_are_an_error() {
        let shape = PixelShape { width: 3, height: 2, layout: PixelLayout::Rgb };
        let samples = YuvSamples::U8(vec![0; 17]);
        let picture = JxlPicture { shape, samples, colors: JxlColors::Srgb, coding: JxlCoding::Lossless };
        assert!(matches!(encode_jxl(&picture), Err(Error::Encode { .. })));
    }
}
