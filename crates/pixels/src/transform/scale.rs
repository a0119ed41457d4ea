//! Scaling a window of the image.

use std::num::NonZeroU32;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use crate::error::Error;
use crate::pixels::{Pixels, Window};
use crate::transform::color::Conversion;
use crate::transform::convolve::to_u8;
use crate::transform::{alpha, linear_light};

/// Lanczos with three lobes, as libvips and Pillow use it to shrink images (K. Turkowski, Filters for Common Resampling
/// Tasks, 1990).
pub(crate) const LANCZOS: ResizeAlg = ResizeAlg::Convolution(FilterType::Lanczos3);

/// Linear interpolation between the nearest samples.
pub(crate) const BILINEAR: ResizeAlg = ResizeAlg::Convolution(FilterType::Bilinear);

/// Supersampling: fast, and accurate enough for the saliency map of a smart crop.
pub(crate) const SUPERSAMPLING: ResizeAlg = ResizeAlg::SuperSampling(FilterType::Bilinear, 2);

/// Scales the window to `size`, in the stored orientation. Images with alpha and images in linear light are scaled in
/// floating point, all others in 8 bits, which is faster.
///
/// # Errors
/// See [`resample`].
pub(crate) fn scale(
    pixels: &Pixels,
    conversion: &Conversion,
    window: Window,
    size: (NonZeroU32, NonZeroU32),
    linear_light: bool,
) -> Result<Pixels, Error> {
    if is_identity(pixels, &window, size) {
        return Ok(pixels.clone());
    }
    if linear_light && !conversion.is_cmyk() {
        return Ok(linear_light::resample(pixels, window, size));
    }
    if matches!(pixels.channels, 2 | 4) && !conversion.is_cmyk() {
        return Ok(alpha::resample(pixels, window, size, f32::from, to_u8));
    }
    resample(pixels, window, size, LANCZOS, false)
}

/// Scales the window to a small size in sRGB, fast and with lower quality.
///
/// # Errors
/// See [`resample`].
pub(crate) fn reduce(
    pixels: &Pixels,
    conversion: &Conversion,
    window: Window,
    size: (NonZeroU32, NonZeroU32),
) -> Result<Pixels, Error> {
    Ok(conversion.apply_srgb(resample(pixels, window, size, SUPERSAMPLING, !conversion.is_cmyk())?))
}

/// True if the window is the whole image and is scaled to the same size.
fn is_identity(pixels: &Pixels, window: &Window, (width, height): (NonZeroU32, NonZeroU32)) -> bool {
    let whole = Window { x: 0.0, y: 0.0, width: f64::from(pixels.width), height: f64::from(pixels.height) };
    *window == whole && (width.get(), height.get()) == (pixels.width, pixels.height)
}

/// Scales the window to `size` with the given algorithm; `has_alpha` premultiplies the last channel.
///
/// # Errors
/// [`Error::Encode`] if the scaler refuses its arguments, which is a bug.
pub(crate) fn resample(
    pixels: &Pixels,
    window: Window,
    (width, height): (NonZeroU32, NonZeroU32),
    algorithm: ResizeAlg,
    has_alpha: bool,
) -> Result<Pixels, Error> {
    if is_identity(pixels, &window, (width, height)) {
        return Ok(pixels.clone());
    }
    let failed = |reason: String| Error::Encode { reason };
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
