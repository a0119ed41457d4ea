//! What AV1 codes, as the pixels and the planes that everything else here is made of: samples of eight bits, in the stored
//! orientation.
//!
//! Most pictures are luma and chroma by the matrix of ITU-R BT.601, as those of JPEG are, and go on as [`Planes`]. Others
//! become pixels: with alpha, by other matrices, cropped, or with light that is not sRGB's. What the container says of
//! colors wins over what the codestream says; an ICC profile wins over both, but for the matrix and the levels, of which it
//! knows nothing (AV1 Image File Format 2.2, ISO/IEC 23000-22 section 7.3.6.4).

use crate::codec::avif::heif::AvifImage;
use crate::codec::decoded::{DecodedPixels, DecodedPlanes};
use crate::codec::planes::{Range, YuvPlane, YuvPlanes, level};
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::pixels::Pixels;
use crate::transform::color::Conversion;
use crate::yuv_image::{Cicp, YuvImage, YuvSamples};

mod to_srgb;
mod matrix;
mod rows;

#[cfg(test)]
mod tests;

use matrix::Matrix;
use rows::Rows;
use to_srgb::ToSrgb;

/// After how many rows the time is looked at.
const ROWS_BETWEEN_LOOKS: usize = 16;

/// The colors as planes of eight bits; as they were if they have to become pixels.
pub(crate) fn planes(picture: &AvifImage<'_>, color: YuvImage) -> Result<DecodedPlanes, YuvImage> {
    let cicp = picture.cicp.unwrap_or(color.cicp);
    let is_whole = (picture.crop.width, picture.crop.height) == (color.width, color.height);
    let is_sized = (color.width, color.height) == picture.color.size;
    let is_plain = picture.profile.is_some() || !ToSrgb::is_needed(cicp);
    if picture.alpha.is_some() || !is_whole || !is_sized || !is_plain || !matrix::is_bt601(cicp.matrix, color.sampling)
    {
        return Err(color);
    }
    let YuvImage { width, height, depth, sampling, planes, .. } = color;
    let range = if cicp.full_range { Range::Full } else { Range::Limited };
    let conversion = conversion(picture, cicp, if planes.len() == 1 { 1 } else { 3 });
    let planes = planes.into_iter().enumerate().map(|(component, samples)| {
        let size = sampling.plane_size(component, (width, height));
        let density = |part: u32, whole: u32| if part == whole { 1.0 } else { 0.5 };
        let density = (density(size.0, width), density(size.1, height));
        YuvPlane {
            component,
            density,
            max_density: density,
            samples: Pixels { width: size.0, height: size.1, channels: 1, data: eight(samples, depth) },
        }
    });
    Ok(DecodedPlanes { planes: YuvPlanes { range, planes: planes.collect() }, conversion })
}

/// Samples of `depth` bits in eight, rounded. Levels of either range keep their meaning.
fn eight(samples: YuvSamples, depth: u8) -> Vec<u8> {
    let samples = match samples {
        YuvSamples::U8(samples) => return samples,
        YuvSamples::U16(samples) => samples,
    };
    let more = u32::from(depth.saturating_sub(8)).min(8);
    let half = 1 << more >> 1;
    let rounded = |sample: u16| u8::try_from((u32::from(sample) + half) >> more).unwrap_or(u8::MAX);
    samples.into_iter().map(rounded).collect()
}

/// The pixels that are shown, of the colors and of the alpha that the picture has. They take as many bytes as its
/// [`facts`](AvifImage::facts) say, beside the planes.
///
/// # Errors
/// The colors are coded in a way that is not known, a plane has another size than is said, or time is over.
pub(crate) fn pixels(
    picture: &AvifImage<'_>,
    color: &YuvImage,
    alpha: Option<&YuvImage>,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let sized = |coded: &YuvImage| (coded.width, coded.height) == picture.color.size;
    if !sized(color) || !alpha.is_none_or(sized) || alpha.is_some() != picture.alpha.is_some() {
        return Err(damaged("its size is not what its header says"));
    }
    let cicp = picture.cicp.unwrap_or(color.cicp);
    let matrix = Matrix::new(cicp, color.depth, color.sampling)?;
    let (colors, crop) = (color.sampling.planes(), picture.crop);
    let has_profile = picture.profile.is_some();
    let to_srgb = if has_profile { None } else { ToSrgb::of(cicp) };
    let alpha = alpha.zip(picture.alpha.as_ref()).map(|(coded, layer)| {
        let cicp = layer.cicp.unwrap_or(coded.cicp);
        (coded, matrix::levels(cicp.full_range, coded.depth))
    });
    let channels = colors + usize::from(alpha.is_some());
    let (width, x) = (crop.width as usize, crop.x as usize);
    let mut data = vec![0; channels * width * crop.height as usize];
    let mut rows = Rows::new(color);
    let mut opacity = vec![0.0; color.width as usize];
    for (n, row) in data.chunks_exact_mut(channels * width).enumerate() {
        if n.is_multiple_of(ROWS_BETWEEN_LOOKS) {
            context.deadline.check()?;
        }
        let y = crop.y as usize + n;
        let samples = rows.read(y)?;
        matrix.apply(samples);
        if let Some((alpha, levels)) = &alpha {
            rows::load(alpha, 0, y, &mut opacity)?;
            opacity.iter_mut().for_each(|sample| *sample = levels.of(*sample));
            if picture.is_premultiplied {
                samples.iter_mut().for_each(|samples| divide(samples, &opacity));
            }
            store(&opacity, x, row, (channels - 1, channels));
        }
        if let Some(to_srgb) = &to_srgb {
            to_srgb.apply(samples);
        }
        for (channel, samples) in samples.iter().enumerate() {
            store(samples, x, row, (channel, channels));
        }
    }
    let channels = u8::try_from(channels).unwrap_or(4);
    let conversion = if to_srgb.is_some() { Conversion::None } else { conversion(picture, cicp, channels) };
    Ok(DecodedPixels { pixels: Pixels { width: crop.width, height: crop.height, channels, data }, conversion })
}

/// How eight bits become sRGB, where [`ToSrgb`] does not make them so.
fn conversion(picture: &AvifImage<'_>, cicp: Cicp, channels: u8) -> Conversion {
    match picture.profile {
        Some(profile) if channels < 3 => Conversion::from_monochrome_icc(profile),
        Some(profile) => Conversion::from_icc(Some(profile), channels),
        // White is white by whichever primaries.
        None if channels < 3 => Conversion::None,
        None => Conversion::from_primaries(cicp.primaries),
    }
}

/// Takes alpha out of colors that are multiplied by it.
fn divide(samples: &mut [f32], opacity: &[f32]) {
    for (sample, alpha) in samples.iter_mut().zip(opacity) {
        *sample = if *alpha > 0.0 { (*sample / alpha).min(1.0) } else { 0.0 };
    }
}

/// Samples of 0 to 1 from `x` on, as one of the channels of a row of pixels.
fn store(samples: &[f32], x: usize, row: &mut [u8], (channel, channels): (usize, usize)) {
    let samples = samples.get(x..).unwrap_or_default();
    for (pixel, sample) in row.chunks_exact_mut(channels).zip(samples) {
        pixel[channel] = level(255.0 * sample);
    }
}
