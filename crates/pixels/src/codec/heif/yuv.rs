//! Converts decoded images to pixels of 8 or 16 bits per sample, or to planes of 8, in the stored orientation.
//!
//! Most images use the BT.601 matrix, as JPEG does, and are processed as [`ColorPlanes`]. Images with alpha, another
//! matrix, a crop, or another transfer function than that of sRGB are converted to pixels. The color description of the
//! container overrides that of the codestream. An ICC profile overrides both, except for matrix and range, which it
//! does not define (AV1 Image File Format, section 2.2; ISO/IEC 23000-22, section 7.3.6.4).

use crate::codec::decoded::{DecodedPixels, DecodedPlanes, DeepPixels};
use crate::codec::heif::container::HeifImage;
use crate::codec::planes::{ColorPlane, ColorPlanes, PlaneColors, Range};
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::limits::ColorPolicy;
use crate::pixels::{Pixels, Sample};
use crate::transform::color::{Conversion, DeepConversion, Gamut, parse_profile, profile_from_primaries};
use crate::transform::transfer::TransferConversion;
use crate::yuv_image::{Cicp, YuvImage, YuvSamples};

mod matrix;
mod rows;

#[cfg(test)]
mod tests;

use matrix::Matrix;
use rows::Rows;

/// Number of rows between checks of the deadline.
const ROWS_PER_DEADLINE_CHECK: usize = 16;

/// Converts the color image to planes with 8 bits per sample. If the image must be converted to pixels instead, it is
/// returned unchanged as the error.
pub(crate) fn planes(image: &HeifImage<'_>, color: YuvImage, policy: ColorPolicy) -> Result<DecodedPlanes, YuvImage> {
    let cicp = image.cicp.unwrap_or(color.cicp);
    let is_uncropped = (image.crop.width, image.crop.height) == (color.width, color.height);
    let has_size = (color.width, color.height) == image.color.size;
    let has_srgb_curve = image.profile.is_some() || !TransferConversion::is_needed(cicp);
    if image.alpha.is_some()
        || !is_uncropped
        || !has_size
        || !has_srgb_curve
        || !matrix::is_bt601(cicp.matrix, color.sampling)
    {
        return Err(color);
    }
    let YuvImage { width, height, depth, sampling, planes, .. } = color;
    let range = if cicp.full_range { Range::Full } else { Range::Limited };
    let conversion = conversion(image, cicp, if planes.len() == 1 { 1 } else { 3 }, policy);
    let planes = planes.into_iter().enumerate().map(|(component, samples)| {
        let size = sampling.plane_size(component, (width, height));
        let density = |part: u32, whole: u32| if part == whole { 1.0 } else { 0.5 };
        let density = (density(size.0, width), density(size.1, height));
        ColorPlane {
            component,
            density,
            max_density: density,
            samples: Pixels { width: size.0, height: size.1, channels: 1, data: to_eight_bits(samples, depth) },
        }
    });
    Ok(DecodedPlanes { planes: ColorPlanes { colors: PlaneColors::Yuv, range, planes: planes.collect() }, conversion })
}

/// Rounds samples of `depth` bits to 8 bits. This preserves the range, full or limited.
fn to_eight_bits(samples: YuvSamples, depth: u8) -> Vec<u8> {
    let samples = match samples {
        YuvSamples::U8(samples) => return samples,
        YuvSamples::U16(samples) => samples,
    };
    let shift = u32::from(depth.saturating_sub(8)).min(8);
    let half = 1 << shift >> 1;
    let rounded = |sample: u16| u8::try_from((u32::from(sample) + half) >> shift).unwrap_or(u8::MAX);
    samples.into_iter().map(rounded).collect()
}

/// Converts the visible part of the color and alpha images to pixels of 8 bits.
///
/// # Errors
/// See [`samples`].
pub(crate) fn pixels(
    image: &HeifImage<'_>,
    color: &YuvImage,
    alpha: Option<&YuvImage>,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let (pixels, conversion) = samples(image, color, alpha, context)?;
    Ok(DecodedPixels { pixels, conversion })
}

/// Converts the visible part of the color and alpha images to pixels of 16 bits.
///
/// # Errors
/// See [`samples`].
pub(crate) fn deep_pixels(
    image: &HeifImage<'_>,
    color: &YuvImage,
    alpha: Option<&YuvImage>,
    context: &RenderContext,
) -> Result<DeepPixels, Error> {
    let (pixels, conversion) = samples(image, color, alpha, context)?;
    let cicp = image.cicp.unwrap_or(color.cicp);
    let profile = match image.profile {
        Some(profile) => parse_profile(profile),
        None if TransferConversion::is_needed(cicp) => Some(conversion.gamut().profile()),
        None => profile_from_primaries(cicp.primaries),
    };
    Ok(DeepPixels { pixels, conversion: DeepConversion::new(conversion, profile) })
}

/// Converts the visible part of the color and alpha images to pixels. The conversion that remains is for samples of 8 bits.
///
/// # Errors
/// The color matrix is unsupported, a plane has the wrong size, or the deadline has passed.
fn samples<S: Sample>(
    image: &HeifImage<'_>,
    color: &YuvImage,
    alpha: Option<&YuvImage>,
    context: &RenderContext,
) -> Result<(Pixels<S>, Conversion), Error> {
    let has_size = |decoded: &YuvImage| (decoded.width, decoded.height) == image.color.size;
    if !has_size(color) || !alpha.is_none_or(has_size) || alpha.is_some() != image.alpha.is_some() {
        return Err(damaged("the decoded size differs from the header"));
    }
    let cicp = image.cicp.unwrap_or(color.cicp);
    let matrix = Matrix::new(cicp, color.depth, color.sampling)?;
    let (colors, crop) = (color.sampling.planes(), image.crop);
    let has_profile = image.profile.is_some();
    let is_converted = !has_profile && TransferConversion::is_needed(cicp);
    let policy = context.encode.color;
    let gamut = Gamut::for_primaries(cicp.primaries, if colors < 3 { 1 } else { 3 }, policy);
    let transfer = is_converted.then(|| TransferConversion::new(cicp, gamut));
    let alpha = alpha.zip(image.alpha.as_ref()).map(|(decoded, layer)| {
        let cicp = layer.cicp.unwrap_or(decoded.cicp);
        (decoded, matrix::levels(cicp.full_range, decoded.depth))
    });
    let channels = colors + usize::from(alpha.is_some());
    let (width, x) = (crop.width as usize, crop.x as usize);
    let mut data = vec![S::default(); channels * width * crop.height as usize];
    let mut rows = Rows::new(color);
    let mut opacity = vec![0.0; color.width as usize];
    for (n, row) in data.chunks_exact_mut(channels * width).enumerate() {
        if n.is_multiple_of(ROWS_PER_DEADLINE_CHECK) {
            context.deadline.check()?;
        }
        let y = crop.y as usize + n;
        let samples = rows.read(y)?;
        matrix.apply(samples);
        if let Some((alpha, levels)) = &alpha {
            rows::load(alpha, 0, y, &mut opacity)?;
            opacity.iter_mut().for_each(|sample| *sample = levels.apply(*sample));
            if image.is_premultiplied {
                samples.iter_mut().for_each(|samples| unpremultiply(samples, &opacity));
            }
            store(&opacity, x, row, (channels - 1, channels));
        }
        if let Some(transfer) = &transfer {
            transfer.apply::<S>(samples);
        }
        for (channel, samples) in samples.iter().enumerate() {
            store(samples, x, row, (channel, channels));
        }
    }
    let channels = u8::try_from(channels).unwrap_or(4);
    let conversion =
        if is_converted { Conversion::from_gamut(gamut, channels) } else { conversion(image, cicp, channels, policy) };
    Ok((Pixels { width: crop.width, height: crop.height, channels, data }, conversion))
}

/// The conversion of 8-bit samples, for images that [`TransferConversion`] does not convert.
fn conversion(image: &HeifImage<'_>, cicp: Cicp, channels: u8, policy: ColorPolicy) -> Conversion {
    match image.profile {
        Some(profile) if channels < 3 => Conversion::from_monochrome_icc(profile),
        Some(profile) => Conversion::from_icc(Some(profile), channels, policy),
        // Gray is the same color with all primaries.
        None if channels < 3 => Conversion::NONE,
        None => Conversion::from_primaries(cicp.primaries, channels, policy),
    }
}

/// Converts premultiplied colors to straight colors.
fn unpremultiply(samples: &mut [f32], opacity: &[f32]) {
    for (sample, alpha) in samples.iter_mut().zip(opacity) {
        *sample = if *alpha > 0.0 { (*sample / alpha).min(1.0) } else { 0.0 };
    }
}

/// Writes samples of 0 to 1, starting at `x`, to one channel of a row of pixels.
fn store<S: Sample>(samples: &[f32], x: usize, row: &mut [S], (channel, channels): (usize, usize)) {
    let samples = samples.get(x..).unwrap_or_default();
    for (pixel, sample) in row.chunks_exact_mut(channels).zip(samples) {
        pixel[channel] = S::from_unit(*sample);
    }
}
