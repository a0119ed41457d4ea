//! Decodes JPEG to planes at the smallest sufficient scale.
//!
//! A thumbnail discards most pixels of a photograph, so the decoder avoids producing them. Each variant is scaled from
//! the smallest plane that has enough samples for it, regardless of the other variants in the batch.

use std::num::NonZeroU32;

use image::metadata::Orientation;
use jpeg_planes::{ColorModel, Header as JpegHeader, Incomplete, Limits as JpegLimits, Options, Scale, Scales};

use crate::codec::decoded::{DecodedPixels, DecodedPlanes};
use crate::codec::planes::{ColorPlane, ColorPlanes, PlaneColors, Range, has_enough, preserves_light};
use crate::context::RenderContext;
use crate::error::{Error, UnsupportedFormat, damaged};
use crate::geometry::{Geometry, Region};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::output::OutputSpec;
use crate::pixels::{Pixels, Window};
use crate::transform::color::{Conversion, PROFILE_BYTES_MAX};
use crate::transform::crop::CropWindow;
use crate::transform::saliency;

/// Permitted root mean square error of the samples in a block when refinement scans of a progressive JPEG are skipped.
///
/// A tolerance of 3 costs 0.03 to 0.06 points of ssimulacra2 at 800 pixels (three photographs of 12 megapixels), and
/// saves a quarter to three quarters of the time. A tolerance of 6 costs half a point on one of them.
const TOLERANCE: f32 = 3.0;

/// Decodes planes that are large enough for all these variants.
///
/// # Errors
/// The original is damaged or truncated, or takes too long.
pub(crate) fn decode(
    original: &[u8],
    info: &ImageInfo,
    jpeg: &JpegHeader,
    outputs: &[OutputSpec],
    context: &RenderContext,
) -> Result<DecodedPlanes, Error> {
    decode_at(original, jpeg, scales(info, jpeg, outputs, context.encode.linear_light), context)
}

/// Decodes the whole image to gray or RGB pixels.
///
/// # Errors
/// The original is damaged or truncated, or takes too long.
pub(crate) fn decode_pixels(
    original: &[u8],
    jpeg: &JpegHeader,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let DecodedPlanes { planes, conversion } = decode_at(original, jpeg, FULL, context)?;
    context.deadline.check()?;
    let side = |side: u32| NonZeroU32::new(side).ok_or_else(|| damaged("it has no pixels"));
    let pixels = planes.into_pixels((side(jpeg.width)?, side(jpeg.height)?))?;
    Ok(DecodedPixels { pixels, conversion })
}

/// Full scale for each component.
const FULL: [Scales; 4] = [Scales::FULL; 4];

fn decode_at(
    original: &[u8],
    jpeg: &JpegHeader,
    scales: [Scales; 4],
    context: &RenderContext,
) -> Result<DecodedPlanes, Error> {
    let profile = jpeg_profile(original, jpeg);
    let colors = colors(jpeg);
    let conversion = if colors.are_inks() {
        Conversion::from_cmyk_icc(profile.as_deref())
    } else {
        Conversion::from_icc(profile.as_deref(), if is_gray(jpeg) { 1 } else { 3 }, context.encode.color)
    };
    let incomplete = if context.keeps_incomplete() { Incomplete::Keep } else { Incomplete::Refuse };
    let limits = JpegLimits { pixels: context.pixels_max, scans: context.scans_max, ..JpegLimits::default() };
    let should_continue = || context.deadline.is_ahead();
    let options = Options { scales, incomplete, limits, tolerance: TOLERANCE, should_continue: &should_continue };
    let planes = jpeg_planes::decode(original, jpeg, &options).map_err(|error| match error {
        jpeg_planes::Error::Cancelled => context.deadline.error(),
        error => damaged(error.to_string()),
    })?;
    let planes = planes.into_iter().map(|plane| ColorPlane {
        component: plane.component,
        density: density(jpeg, plane.component, plane.mode),
        max_density: density(jpeg, plane.component, plane.mode),
        samples: Pixels { width: plane.width, height: plane.height, channels: 1, data: plane.data },
    });
    Ok(DecodedPlanes { planes: ColorPlanes { colors, range: Range::Full, planes: planes.collect() }, conversion })
}

/// Reads the header. The caller checks the size.
///
/// # Errors
/// [`Error::UnsupportedFormat`] names a coding process that is not decoded. Otherwise the header is damaged.
pub(crate) fn read_header(original: &[u8], limits: &Limits) -> Result<JpegHeader, Error> {
    let jpeg_limits = JpegLimits { pixels: u64::MAX, ..JpegLimits::default() };
    JpegHeader::read(original, &jpeg_limits).map_err(|error| match error {
        jpeg_planes::Error::Unsupported(feature) => {
            let format = UnsupportedFormat::JpegWith(feature);
            Error::UnsupportedFormat { format, accepted: limits.originals }
        }
        error => damaged(error.to_string()),
    })
}

/// The meaning of the planes.
fn colors(jpeg: &JpegHeader) -> PlaneColors {
    match jpeg.color_model {
        ColorModel::Gray | ColorModel::YCbCr => PlaneColors::Yuv,
        ColorModel::Rgb => PlaneColors::Rgb,
        // As in libvips and Pillow, files without an Adobe marker are not inverted.
        ColorModel::Cmyk if jpeg.has_adobe_marker => PlaneColors::InvertedCmyk,
        ColorModel::Cmyk => PlaneColors::Cmyk,
        ColorModel::Ycck => PlaneColors::Ycck,
    }
}

/// True for CMYK and YCCK.
pub(crate) fn is_cmyk(jpeg: &JpegHeader) -> bool {
    colors(jpeg).are_inks()
}

/// Properties of a JPEG.
pub(crate) fn info(original: &[u8], jpeg: &JpegHeader) -> ImageInfo {
    let exif = jpeg.exif.clone().and_then(|place| original.get(place));
    let orientation = exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    let profile_bytes = jpeg.icc.iter().map(|part| part.len() as u64).sum();
    ImageInfo {
        width: jpeg.width,
        height: jpeg.height,
        orientation,
        pixel_bytes: 3,
        profile_bytes,
        ..ImageInfo::default()
    }
}

/// Upper bound, in bytes, on the memory for decoding a JPEG to pixels.
pub(crate) fn pixels_working_bytes(jpeg: &JpegHeader) -> u64 {
    // Interpolated chroma, with one reduced and one full side first, and the pixels.
    jpeg.working_bytes(FULL) + 7 * u64::from(jpeg.width) * u64::from(jpeg.height)
}

/// Upper bound, in bytes, on the memory for decoding a JPEG to planes for these variants.
pub(crate) fn working_bytes(info: &ImageInfo, jpeg: &JpegHeader, outputs: &[OutputSpec], linear_light: bool) -> u64 {
    jpeg.working_bytes(scales(info, jpeg, outputs, linear_light))
}

/// The largest number of points, per side of a block, at which each component is decoded for these variants.
pub(crate) fn points(info: &ImageInfo, jpeg: &JpegHeader, outputs: &[OutputSpec], linear_light: bool) -> [u8; 4] {
    let points = |scales: Scales| scales.iter().map(Scale::points).max().and_then(|points| u8::try_from(points).ok());
    let all = scales(info, jpeg, outputs, linear_light).map(|scales| points(scales).unwrap_or(8));
    [0, 1, 2, 3].map(|n| if n < jpeg.component_count() { all[n] } else { all[0] })
}

/// The scales of each component that the variants need.
///
/// Chroma is decoded at the density of luma even if the variant subsamples it. Scaling it from the minimum number of
/// samples cost up to 0.6 points of ssimulacra2.
fn scales(info: &ImageInfo, jpeg: &JpegHeader, outputs: &[OutputSpec], linear_light: bool) -> [Scales; 4] {
    // Inks are always scaled as they are.
    let linear_light = linear_light && colors(jpeg) == PlaneColors::Yuv;
    let scales_of = |n: usize, geometry: Geometry| {
        let crop_window = CropWindow::new(info.oriented_size(), geometry);
        let (window, size) = crop_window.stored(info.orientation);
        let scale = smallest_scale(jpeg, n, &window, size, linear_light);
        if !matches!(geometry, Geometry::Crop { region: Region::Smart, .. }) {
            return Scales::from(scale);
        }
        // The scale for the input of the smart crop is chosen separately, so that the crop does not depend on the other
        // variants.
        let (whole, size) = crop_window.reduced(info.orientation, saliency::SIDE);
        Scales::from(scale).union(smallest_scale(jpeg, n, &whole, size, false).into())
    };
    [0, 1, 2, 3].map(|n| {
        let scales = outputs.iter().map(|output| scales_of(n, output.geometry));
        scales.reduce(Scales::union).unwrap_or(Scale::Full.into())
    })
}

/// The smallest scale with at least as many samples in the window as the variant has.
fn smallest_scale(
    jpeg: &JpegHeader,
    n: usize,
    window: &Window,
    size: (NonZeroU32, NonZeroU32),
    linear_light: bool,
) -> Scale {
    let enough = |scale: &Scale| {
        let density = density(jpeg, n, *scale);
        has_enough(density, window, size) && (!linear_light || preserves_light(n, density, window, size))
    };
    Scale::ALL.into_iter().find(enough).unwrap_or(Scale::Full)
}

/// Samples of component `n` at `scale` per pixel of the original, horizontally and vertically.
fn density(jpeg: &JpegHeader, n: usize, scale: Scale) -> (f64, f64) {
    let all = (0..jpeg.component_count()).filter_map(|n| jpeg.sampling(n));
    let (h, v) = all.fold((1, 1), |(h, v), s| (h.max(s.horizontal), v.max(s.vertical)));
    let own = jpeg.sampling(n).map_or((h, v), |s| (s.horizontal, s.vertical));
    let part = f64::from(u8::try_from(scale.points()).unwrap_or(8)) / 8.0;
    (part * f64::from(own.0) / f64::from(h), part * f64::from(own.1) / f64::from(v))
}

fn is_gray(jpeg: &JpegHeader) -> bool {
    jpeg.component_count() == 1
}

/// The ICC profile. `None` if there is none, or it is unreasonably large.
pub(crate) fn jpeg_profile(original: &[u8], jpeg: &JpegHeader) -> Option<Vec<u8>> {
    let parts = jpeg.icc.iter().filter_map(|part| original.get(part.clone()));
    let bytes = parts.clone().map(<[u8]>::len).sum::<usize>();
    (1..=PROFILE_BYTES_MAX).contains(&bytes).then(|| {
        let mut profile = Vec::with_capacity(bytes);
        parts.for_each(|part| profile.extend_from_slice(part));
        profile
    })
}
