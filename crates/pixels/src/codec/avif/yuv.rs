//! What AV1 codes, as the pixels and the planes that everything else here is made of: samples of eight bits, in the stored
//! orientation.
//!
//! Most pictures are luma and chroma by the matrix of ITU-R BT.601, as those of JPEG are, and go on as [`Planes`]. Others
//! become pixels: with alpha, by other matrices, cropped, or with light that is not sRGB's. What the container says of
//! colours wins over what the codestream says; an ICC profile wins over both, but for the matrix and the levels, of which it
//! knows nothing (AV1 Image File Format 2.2, ISO/IEC 23000-22 section 7.3.6.4).

use crate::codec::avif::heif::Picture;
use crate::codec::avif::yuv_image::{Cicp, Coded, Samples};
use crate::codec::decoded::{Decoded, Planar};
use crate::codec::planes::{Plane, Planes, Range, level};
use crate::context::Job;
use crate::error::RenderError;
use crate::pixels::Pixels;
use crate::transform::color::Conversion;

mod light;
mod matrix;
mod rows;

#[cfg(test)]
mod tests;

use light::ToSrgb;
use matrix::Matrix;
use rows::Rows;

/// After how many rows the time is looked at.
const ROWS_BETWEEN_LOOKS: usize = 16;

/// The colours as planes of eight bits; as they were if they have to become pixels.
pub(crate) fn planes(picture: &Picture<'_>, colour: Coded) -> Result<Planar, Coded> {
    let cicp = picture.cicp.unwrap_or(colour.colour);
    let is_whole = (picture.crop.width, picture.crop.height) == (colour.width, colour.height);
    let is_sized = (colour.width, colour.height) == picture.colour.size;
    let is_plain = picture.profile.is_some() || !ToSrgb::is_needed(cicp);
    if picture.alpha.is_some() || !is_whole || !is_sized || !is_plain || !matrix::is_bt601(cicp.matrix, colour.sampling)
    {
        return Err(colour);
    }
    let Coded { width, height, depth, sampling, planes, .. } = colour;
    let range = if cicp.full_range { Range::Full } else { Range::Limited };
    let conversion = conversion(picture, cicp, if planes.len() == 1 { 1 } else { 3 });
    let planes = planes.into_iter().enumerate().map(|(component, samples)| {
        let size = sampling.plane_size(component, (width, height));
        let density = |part: u32, whole: u32| if part == whole { 1.0 } else { 0.5 };
        let density = (density(size.0, width), density(size.1, height));
        Plane {
            component,
            density,
            serves: density,
            samples: Pixels { width: size.0, height: size.1, channels: 1, data: eight(samples, depth) },
        }
    });
    Ok(Planar { planes: Planes { range, planes: planes.collect() }, conversion })
}

/// Samples of `depth` bits in eight, rounded. Levels of either range keep their meaning.
fn eight(samples: Samples, depth: u8) -> Vec<u8> {
    let samples = match samples {
        Samples::Eight(samples) => return samples,
        Samples::More(samples) => samples,
    };
    let more = u32::from(depth.saturating_sub(8)).min(8);
    let half = 1 << more >> 1;
    let rounded = |sample: u16| u8::try_from((u32::from(sample) + half) >> more).unwrap_or(u8::MAX);
    samples.into_iter().map(rounded).collect()
}

/// The pixels that are shown, of the colours and of the alpha that the picture has. They take as many bytes as its
/// [`facts`](Picture::facts) say, beside the planes.
///
/// # Errors
/// The colours are coded in a way that is not known, a plane has another size than is said, or time is over.
pub(crate) fn pixels(
    picture: &Picture<'_>,
    colour: &Coded,
    alpha: Option<&Coded>,
    job: &Job,
) -> Result<Decoded, RenderError> {
    let sized = |coded: &Coded| (coded.width, coded.height) == picture.colour.size;
    if !sized(colour) || !alpha.is_none_or(sized) || alpha.is_some() != picture.alpha.is_some() {
        return Err(RenderError::Damaged { reason: "its size is not what its header says".to_owned() });
    }
    let cicp = picture.cicp.unwrap_or(colour.colour);
    let matrix = Matrix::new(cicp, colour.depth, colour.sampling)?;
    let (colours, crop) = (colour.sampling.planes(), picture.crop);
    let has_profile = picture.profile.is_some();
    let to_srgb = if has_profile { None } else { ToSrgb::of(cicp) };
    let alpha = alpha.zip(picture.alpha.as_ref()).map(|(coded, layer)| {
        let cicp = layer.cicp.unwrap_or(coded.colour);
        (coded, matrix::levels(cicp.full_range, coded.depth))
    });
    let channels = colours + usize::from(alpha.is_some());
    let (width, x) = (crop.width as usize, crop.x as usize);
    let mut data = vec![0; channels * width * crop.height as usize];
    let mut rows = Rows::new(colour);
    let mut opacity = vec![0.0; colour.width as usize];
    for (n, row) in data.chunks_exact_mut(channels * width).enumerate() {
        if n.is_multiple_of(ROWS_BETWEEN_LOOKS) {
            job.deadline.check()?;
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
    Ok(Decoded { pixels: Pixels { width: crop.width, height: crop.height, channels, data }, conversion })
}

/// How eight bits become sRGB, where [`ToSrgb`] does not make them so.
fn conversion(picture: &Picture<'_>, cicp: Cicp, channels: u8) -> Conversion {
    match picture.profile {
        Some(profile) if channels < 3 => Conversion::of_monochrome(profile),
        Some(profile) => Conversion::of_light(Some(profile), channels),
        // White is white by whichever primaries.
        None if channels < 3 => Conversion::None,
        None => Conversion::of_primaries(cicp.primaries),
    }
}

/// Takes alpha out of colours that are multiplied by it.
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
