//! Lossy WebP without alpha: the planes of its frame, with the edges of blocks smoothed where that can be seen.

use std::num::NonZeroU32;

use vp8_planes::{Header as Vp8Header, Incomplete, Limits as Vp8Limits, LoopFilter, Options};

use super::Planar;
use crate::codec::planes::{Plane, Planes, Range, has_enough};
use crate::codec::webp::container;
use crate::context::Job;
use crate::encoding::Encoding;
use crate::error::RenderError;
use crate::geometry::{Geometry, Region};
use crate::header::Header;
use crate::limits::Limits;
use crate::pixels::{Pixels, Window};
use crate::transform::saliency;
use crate::transform::color::Conversion;
use crate::transform::crop::Frame;

/// How many times smaller a variant is made of planes whose edges have not been smoothed.
///
/// That takes a tenth to a fifth less time. From ten times on it costs 0.1 points of ssimulacra2 at most (photographs of 12 MP at
/// quality 50, 75 and 85); eight times smaller, 0.4 at quality 50, and five times, 1.1.
const UNSMOOTHED_FROM: f64 = 10.0;

/// The header of the frame, if the picture is one of `size` that comes as planes which can be used.
pub(crate) fn header(original: &[u8], size: (u32, u32), limits: &Limits) -> Option<Vp8Header> {
    if limits.finish.linear_light {
        return None;
    }
    let limits = Vp8Limits { pixels: limits.input_pixels, ..Vp8Limits::default() };
    let header = Vp8Header::read(riff::frame(original)?, &limits).ok()?;
    ((header.width, header.height) == size).then_some(header)
}

/// An upper bound, in bytes, of what decoding for these variants allocates.
pub(crate) fn bytes(header: &Header, vp8: &Vp8Header, variants: &[(Geometry, Encoding)]) -> u64 {
    vp8.working_bytes(filters(header, variants).len())
}

/// # Errors
/// The frame is damaged, cut short, or takes too long.
pub(crate) fn planes(
    original: &[u8],
    header: &Header,
    vp8: &Vp8Header,
    variants: &[(Geometry, Encoding)],
    job: &Job,
) -> Result<Planar, RenderError> {
    let incomplete = if job.keeps_incomplete() { Incomplete::Keep } else { Incomplete::Refuse };
    let should_continue = || job.deadline.is_ahead();
    let options = Options { incomplete, should_continue: &should_continue };
    let frame = riff::frame(original).unwrap_or_default();
    let planes = vp8_planes::decode(frame, vp8, &filters(header, variants), &options).map_err(|error| match error {
        vp8_planes::Error::Cancelled => job.deadline.error(),
        error => RenderError::Damaged { reason: error.to_string() },
    })?;
    let planes = planes.into_iter().map(|plane| Plane {
        component: plane.component,
        density: if plane.component == 0 { (1.0, 1.0) } else { (0.5, 0.5) },
        serves: serves(plane.mode),
        samples: Pixels { width: plane.width, height: plane.height, channels: 1, data: plane.data },
    });
    let planes = Planes { range: Range::Limited, planes: planes.collect() };
    Ok(Planar { planes, conversion: Conversion::of_light(riff::profile(original), 3) })
}

/// Samples that a variant may have for one pixel of the picture, across and down.
fn serves(filter: LoopFilter) -> (f64, f64) {
    match filter {
        LoopFilter::Skip => (1.0 / UNSMOOTHED_FROM, 1.0 / UNSMOOTHED_FROM),
        LoopFilter::Apply => (1.0, 1.0),
    }
}

/// In which ways the planes are filtered that the variants are made of, in the order in which they serve.
fn filters(header: &Header, variants: &[(Geometry, Encoding)]) -> Vec<LoopFilter> {
    let of_size = |window: &Window, size: (NonZeroU32, NonZeroU32)| {
        if has_enough(serves(LoopFilter::Skip), window, size) { LoopFilter::Skip } else { LoopFilter::Apply }
    };
    let of_variant = |(geometry, _): &(Geometry, Encoding)| {
        let frame = Frame::new(header.oriented_size(), *geometry);
        let (window, size) = frame.stored(header.orientation);
        // What a smart crop is found by: not from whatever else is there, or it would depend on the company.
        let whole = frame.reduced(header.orientation, attention::SIDE);
        let is_smart = matches!(geometry, Geometry::Crop { region: Region::Smart, .. });
        [Some(of_size(&window, size)), is_smart.then(|| of_size(&whole.0, whole.1))]
    };
    let wanted: Vec<LoopFilter> = variants.iter().flat_map(of_variant).flatten().collect();
    [LoopFilter::Skip, LoopFilter::Apply].into_iter().filter(|filter| wanted.contains(filter)).collect()
}
