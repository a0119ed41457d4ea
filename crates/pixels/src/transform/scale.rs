//! Fewer pixels: a window of the picture at another size, and the picture turned upright.

use std::num::NonZeroU32;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use crate::context::Job;
use crate::error::RenderError;
use crate::transform::{alpha, linear_light};
use crate::transform::color::Conversion;

/// Samples of eight bits, row by row without gaps: grey, grey and alpha, RGB, or RGBA (1 to 4 `channels`). Alpha is not
/// premultiplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: u8,
    pub(crate) data: Vec<u8>,
}

/// A part of a picture, in pixels; it may begin and end between two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Lanczos of three lobes, as libvips and Pillow use it to shrink: each output sample is a weighted mean of all input
/// samples below its kernel (K. Turkowski, Filters for Common Resampling Tasks, 1990).
pub(crate) const LANCZOS: ResizeAlg = ResizeAlg::Convolution(FilterType::Lanczos3);

/// Each pixel the mean of a few below it, which is enough to guess by.
pub(crate) const MEANS: ResizeAlg = ResizeAlg::SuperSampling(FilterType::Bilinear, 2);

/// The window at `size`, still in the stored orientation. What is to be scaled with alpha multiplied in or in light is
/// scaled in floating point, all else in eight bits, which is faster.
pub(crate) fn scale(
    pixels: &Pixels,
    conversion: &Conversion,
    window: Window,
    size: (NonZeroU32, NonZeroU32),
    job: &Job,
) -> Result<Pixels, RenderError> {
    if is_whole(pixels, &window, size) {
        return Ok(pixels.clone());
    }
    let is_ink = matches!(conversion, Conversion::Ink(_));
    if job.finish.linear_light && !is_ink {
        return Ok(light::resample(pixels, window, size));
    }
    if matches!(pixels.channels, 2 | 4) && conversion.has_alpha() {
        return Ok(alpha::resample(pixels, window, size));
    }
    resample(pixels, window, size, LANCZOS, false)
}

/// A few pixels of the window, in sRGB, to guess by.
pub(crate) fn reduce(
    pixels: &Pixels,
    conversion: &Conversion,
    window: Window,
    size: (NonZeroU32, NonZeroU32),
) -> Result<Pixels, RenderError> {
    Ok(conversion.apply(resample(pixels, window, size, MEANS, conversion.has_alpha())?))
}

/// Whether nothing is to be scaled.
fn is_whole(pixels: &Pixels, window: &Window, (width, height): (NonZeroU32, NonZeroU32)) -> bool {
    let whole = Window { x: 0.0, y: 0.0, width: f64::from(pixels.width), height: f64::from(pixels.height) };
    *window == whole && (width.get(), height.get()) == (pixels.width, pixels.height)
}

/// The window at `size`, by `algorithm`; a copy where nothing is to be scaled.
pub(crate) fn resample(
    pixels: &Pixels,
    window: Window,
    (width, height): (NonZeroU32, NonZeroU32),
    algorithm: ResizeAlg,
    has_alpha: bool,
) -> Result<Pixels, RenderError> {
    if is_whole(pixels, &window, (width, height)) {
        return Ok(pixels.clone());
    }
    let failed = |reason: String| RenderError::Encode { reason };
    let pixel_type = match pixels.channels {
        1 => PixelType::U8,
        2 => PixelType::U8x2,
        3 => PixelType::U8x3,
        _ => PixelType::U8x4,
    };
    let source = ImageRef::new(pixels.width, pixels.height, &pixels.data, pixel_type);
    let source = source.map_err(|error| failed(error.to_string()))?;
    let mut target = Image::new(width.get(), height.get(), pixel_type);
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(has_alpha).crop(
        window.x.max(0.0),
        window.y.max(0.0),
        window.width,
        window.height,
    );
    Resizer::new().resize(&source, &mut target, &options).map_err(|error| failed(error.to_string()))?;
    let channels = pixels.channels;
    Ok(Pixels { width: width.get(), height: height.get(), channels, data: target.into_vec() })
}

/// The picture as it is meant to be seen.
pub(crate) fn orient(pixels: Pixels, orientation: Orientation) -> Pixels {
    if orientation == Orientation::NoTransforms {
        return pixels;
    }
    let channels = pixels.channels;
    let Some(mut picture) = picture(pixels) else { return Pixels { width: 0, height: 0, channels, data: Vec::new() } };
    picture.apply_orientation(orientation);
    Pixels { width: picture.width(), height: picture.height(), channels, data: picture.into_bytes() }
}

/// `None` only if the data are not as long as the size says.
fn picture(pixels: Pixels) -> Option<DynamicImage> {
    let Pixels { width, height, channels, data } = pixels;
    Some(match channels {
        1 => GrayImage::from_raw(width, height, data)?.into(),
        2 => GrayAlphaImage::from_raw(width, height, data)?.into(),
        3 => RgbImage::from_raw(width, height, data)?.into(),
        _ => RgbaImage::from_raw(width, height, data)?.into(),
    })
}
