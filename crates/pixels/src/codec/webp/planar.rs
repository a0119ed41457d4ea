//! Decodes lossy WebP without alpha to planes. The loop filter is skipped where its effect is invisible.

use std::num::NonZeroU32;

use vp8_planes::{Header as Vp8Header, Incomplete, Limits as Vp8Limits, LoopFilter, Options};

use crate::codec::decoded::DecodedPlanes;
use crate::codec::planes::{ColorPlane, ColorPlanes, PlaneColors, Range, has_enough};
use crate::codec::webp::container::{icc_profile, vp8_frame};
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::geometry::{Geometry, Region};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::output::OutputSpec;
use crate::pixels::{Pixels, Window};
use crate::transform::color::Conversion;
use crate::transform::crop::CropWindow;
use crate::transform::saliency;

/// Minimum downscaling factor of variants that are made from unfiltered planes.
///
/// Skipping the loop filter takes a tenth to a fifth less time. At a factor of 10 it costs at most 0.1 points of
/// ssimulacra2 (photographs of 12 megapixels at quality 50, 75 and 85), at 8 it costs 0.4 at quality 50, and at 5 it
/// costs 1.1.
const UNFILTERED_FROM: f64 = 10.0;

/// Reads the VP8 header of an original of `size` that can be scaled as planes. `None` for all other originals.
pub(crate) fn read_header(original: &[u8], size: (u32, u32), limits: &Limits) -> Option<Vp8Header> {
    let limits = Vp8Limits { pixels: limits.input_pixels, ..Vp8Limits::default() };
    let header = Vp8Header::read(vp8_frame(original)?, &limits).ok()?;
    ((header.width, header.height) == size).then_some(header)
}

/// Upper bound, in bytes, on the memory for decoding for these variants.
pub(crate) fn working_bytes(info: &ImageInfo, vp8: &Vp8Header, outputs: &[OutputSpec]) -> u64 {
    vp8.working_bytes(filters(info, outputs).len())
}

/// Decodes the planes that the variants need.
///
/// # Errors
/// The frame is damaged or truncated, or decoding takes too long.
pub(crate) fn decode(
    original: &[u8],
    info: &ImageInfo,
    vp8: &Vp8Header,
    outputs: &[OutputSpec],
    context: &RenderContext,
) -> Result<DecodedPlanes, Error> {
    let incomplete = if context.keeps_incomplete() { Incomplete::Keep } else { Incomplete::Refuse };
    let should_continue = || context.deadline.is_ahead();
    let options = Options { incomplete, should_continue: &should_continue };
    let frame = vp8_frame(original).unwrap_or_default();
    let planes = vp8_planes::decode(frame, vp8, &filters(info, outputs), &options).map_err(|error| match error {
        vp8_planes::Error::Cancelled => context.deadline.error(),
        error => damaged(error.to_string()),
    })?;
    let planes = planes.into_iter().map(|plane| ColorPlane {
        component: plane.component,
        density: if plane.component == 0 { (1.0, 1.0) } else { (0.5, 0.5) },
        max_density: max_density(plane.mode),
        samples: Pixels { width: plane.width, height: plane.height, channels: 1, data: plane.data },
    });
    let planes = ColorPlanes { colors: PlaneColors::Yuv, range: Range::Limited, planes: planes.collect() };
    Ok(DecodedPlanes { planes, conversion: Conversion::from_icc(icc_profile(original), 3, context.encode.color) })
}

/// The largest density of a variant, in samples per pixel of the original, for which planes with this filter setting
/// are good enough.
fn max_density(filter: LoopFilter) -> (f64, f64) {
    match filter {
        LoopFilter::Skip => (1.0 / UNFILTERED_FROM, 1.0 / UNFILTERED_FROM),
        LoopFilter::Apply => (1.0, 1.0),
    }
}

/// The loop filter settings that the variants need, in ascending order of [`max_density`].
fn filters(info: &ImageInfo, outputs: &[OutputSpec]) -> Vec<LoopFilter> {
    let of_size = |window: &Window, size: (NonZeroU32, NonZeroU32)| {
        if has_enough(max_density(LoopFilter::Skip), window, size) { LoopFilter::Skip } else { LoopFilter::Apply }
    };
    let filters_of = |output: &OutputSpec| {
        let crop_window = CropWindow::new(info.oriented_size(), output.geometry);
        let (window, size) = crop_window.stored(info.orientation);
        // The filter setting for the input of the smart crop is chosen separately, so that the crop does not depend on
        // the other variants.
        let whole = crop_window.reduced(info.orientation, saliency::SIDE);
        let is_smart = matches!(output.geometry, Geometry::Crop { region: Region::Smart, .. });
        [Some(of_size(&window, size)), is_smart.then(|| of_size(&whole.0, whole.1))]
    };
    let needed: Vec<LoopFilter> = outputs.iter().flat_map(filters_of).flatten().collect();
    [LoopFilter::Skip, LoopFilter::Apply].into_iter().filter(|filter| needed.contains(filter)).collect()
}
