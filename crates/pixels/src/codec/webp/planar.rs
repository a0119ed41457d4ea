//! Lossy WebP without alpha: the planes of its frame, with the edges of blocks smoothed where that can be seen.

use std::num::NonZeroU32;

use vp8_planes::{Header as Vp8Header, Incomplete, Limits as Vp8Limits, LoopFilter, Options};

use crate::codec::decoded::DecodedPlanes;
use crate::codec::planes::{Range, YuvPlane, YuvPlanes, has_enough};
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

/// How many times smaller a variant is made of planes whose edges have not been smoothed.
///
/// That takes a tenth to a fifth less time. From ten times on it costs 0.1 points of ssimulacra2 at most (photographs of 12 MP at
/// quality 50, 75 and 85); eight times smaller, 0.4 at quality 50, and five times, 1.1.
const UNSMOOTHED_FROM: f64 = 10.0;

/// The header of the frame, if the picture is one of `size` that comes as planes which can be used.
pub(crate) fn read_header(original: &[u8], size: (u32, u32), limits: &Limits) -> Option<Vp8Header> {
    if limits.encode.linear_light {
        return None;
    }
    let limits = Vp8Limits { pixels: limits.input_pixels, ..Vp8Limits::default() };
    let header = Vp8Header::read(vp8_frame(original)?, &limits).ok()?;
    ((header.width, header.height) == size).then_some(header)
}

/// An upper bound, in bytes, of what decoding for these variants allocates.
pub(crate) fn working_bytes(info: &ImageInfo, vp8: &Vp8Header, outputs: &[OutputSpec]) -> u64 {
    vp8.working_bytes(filters(info, outputs).len())
}

/// # Errors
/// The frame is damaged, cut short, or takes too long.
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
    let planes = planes.into_iter().map(|plane| YuvPlane {
        component: plane.component,
        density: if plane.component == 0 { (1.0, 1.0) } else { (0.5, 0.5) },
        max_density: max_density(plane.mode),
        samples: Pixels { width: plane.width, height: plane.height, channels: 1, data: plane.data },
    });
    let planes = YuvPlanes { range: Range::Limited, planes: planes.collect() };
    Ok(DecodedPlanes { planes, conversion: Conversion::from_icc(icc_profile(original), 3) })
}

/// Samples that a variant may have for one pixel of the picture, across and down.
fn max_density(filter: LoopFilter) -> (f64, f64) {
    match filter {
        LoopFilter::Skip => (1.0 / UNSMOOTHED_FROM, 1.0 / UNSMOOTHED_FROM),
        LoopFilter::Apply => (1.0, 1.0),
    }
}

/// In which ways the planes are filtered that the variants are made of, in the order in which they serve.
fn filters(info: &ImageInfo, outputs: &[OutputSpec]) -> Vec<LoopFilter> {
    let of_size = |window: &Window, size: (NonZeroU32, NonZeroU32)| {
        if has_enough(max_density(LoopFilter::Skip), window, size) { LoopFilter::Skip } else { LoopFilter::Apply }
    };
    let filters_of = |output: &OutputSpec| {
        let crop_window = CropWindow::new(info.oriented_size(), output.geometry);
        let (window, size) = crop_window.stored(info.orientation);
        // What a smart crop is found by: not from whatever else is there, or it would depend on the company.
        let whole = crop_window.reduced(info.orientation, saliency::SIDE);
        let is_smart = matches!(output.geometry, Geometry::Crop { region: Region::Smart, .. });
        [Some(of_size(&window, size)), is_smart.then(|| of_size(&whole.0, whole.1))]
    };
    let wanted: Vec<LoopFilter> = outputs.iter().flat_map(filters_of).flatten().collect();
    [LoopFilter::Skip, LoopFilter::Apply].into_iter().filter(|filter| wanted.contains(filter)).collect()
}
