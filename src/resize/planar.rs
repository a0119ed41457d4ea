//! From JPEG to JPEG without ever making a pixel: planes come small out of the file, are scaled apart, and go in again.
//!
//! It applies to pictures in luma and chroma, or grey, whose colours are sRGB because no profile says otherwise. All
//! else takes the way over pixels.

use std::num::NonZeroU32;

use image::metadata::Orientation;
use jpeg_planes::{Colour, Header as JpegHeader, Incomplete, Limits as JpegLimits, Options, Plane, PlaneRef, Scale};

use super::colour::Conversion;
use super::decode::Job;
use super::frame::Frame;
use super::header::{Codec, Header};
use super::scale::{LANCZOS, Pixels, Window, orient, resample};
use super::{Limits, RenderError};
use crate::variant::{Encoding, Geometry, Quality, Region};

/// What the planar way needs to know, if it applies.
#[derive(Debug)]
pub(super) struct Planar {
    header: JpegHeader,
    scales: [Scale; 3],
    quality: Quality,
}

impl Planar {
    /// `None` where the picture must go over pixels.
    pub(super) fn plan(
        original: &[u8],
        header: &Header,
        frame: &Frame,
        geometry: Geometry,
        encoding: Encoding,
        limits: &Limits,
    ) -> Option<Self> {
        let Encoding::Jpeg(quality) = encoding else { return None };
        // What catches the eye is looked for in pixels.
        let looked_at = matches!(geometry, Geometry::Crop { region: Region::Smart, .. });
        if header.codec != Codec::Jpeg || looked_at {
            return None;
        }
        let limits = JpegLimits { pixels: limits.input_pixels, ..JpegLimits::default() };
        let jpeg = JpegHeader::read(original, &limits).ok()?;
        if jpeg.colour == Colour::Rgb
            || !is_srgb(original, &jpeg)
            || (jpeg.width, jpeg.height) != (header.width, header.height)
        {
            return None;
        }
        let (window, size) = frame.stored(header.orientation);
        let scales = [0, 1, 2].map(|n| smallest_scale(&jpeg, n, &window, target(size, n)));
        Some(Self { header: jpeg, scales, quality })
    }

    /// # Errors
    /// The original is damaged or cut short; or a fault of ours.
    pub(super) fn render(
        &self,
        original: &[u8],
        frame: &Frame,
        orientation: Orientation,
        job: &Job,
    ) -> Result<Vec<u8>, RenderError> {
        let incomplete = if job.keeps_incomplete() { Incomplete::Keep } else { Incomplete::Refuse };
        let limits = JpegLimits { pixels: job.pixels_max, scans: job.scans_max, ..JpegLimits::default() };
        let proceed = || job.deadline.is_ahead();
        let options = Options { scales: self.scales, incomplete, limits, proceed: &proceed, ..Options::default() };
        let planes = jpeg_planes::decode(original, &self.header, &options).map_err(|error| match error {
            jpeg_planes::Error::Cancelled => job.deadline.error(),
            error => RenderError::Damaged { reason: error.to_string() },
        })?;
        let (window, size) = frame.stored(orientation);
        let mut upright = Vec::with_capacity(planes.len());
        for (n, plane) in planes.into_iter().enumerate() {
            let part = in_plane(&self.header, n, self.scales[n], &window, &plane);
            let pixels = Pixels { width: plane.width, height: plane.height, channels: 1, data: plane.data };
            upright.push(orient(resample(&pixels, part, target(size, n), LANCZOS, false)?, orientation));
        }
        let refs: Vec<_> =
            upright.iter().map(|p| PlaneRef { width: p.width, height: p.height, data: &p.data }).collect();
        let subsampling = if refs.len() == 1 { jpeg_planes::Subsampling::Grey } else { jpeg_planes::Subsampling::Half };
        jpeg_planes::encode(&refs, subsampling, self.quality.get())
            .map_err(|error| RenderError::Encode { reason: error.to_string() })
    }
}

/// Whether the samples mean sRGB: no profile says otherwise.
fn is_srgb(original: &[u8], jpeg: &JpegHeader) -> bool {
    let profile: Vec<u8> = jpeg.icc.iter().filter_map(|part| original.get(part.clone())).flatten().copied().collect();
    let channels = if jpeg.component_count() == 1 { 1 } else { 3 };
    profile.is_empty() || matches!(Conversion::of_light(Some(&profile), channels), Conversion::None)
}

/// The size of the variant's plane `n`, which for chroma is half, rounded up.
fn target((width, height): (NonZeroU32, NonZeroU32), n: usize) -> (NonZeroU32, NonZeroU32) {
    let half = |side: NonZeroU32| NonZeroU32::new(side.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN);
    if n == 0 { (width, height) } else { (half(width), half(height)) }
}

/// Samples of plane `n` at `scale` that lie on one pixel of the picture, across and down.
fn density(header: &JpegHeader, n: usize, scale: Scale) -> (f64, f64) {
    let all = (0..header.component_count()).filter_map(|n| header.sampling(n));
    let (h, v) = all.fold((1, 1), |(h, v), s| (h.max(s.horizontal), v.max(s.vertical)));
    let own = header.sampling(n).map_or((h, v), |s| (s.horizontal, s.vertical));
    let part = f64::from(u8::try_from(scale.points()).unwrap_or(8)) / 8.0;
    (part * f64::from(own.0) / f64::from(h), part * f64::from(own.1) / f64::from(v))
}

/// The smallest scale that has at least as many samples in the window as the variant is to have.
fn smallest_scale(header: &JpegHeader, n: usize, window: &Window, size: (NonZeroU32, NonZeroU32)) -> Scale {
    let enough = |scale: &Scale| {
        let (across, down) = density(header, n, *scale);
        window.width * across >= f64::from(size.0.get()) && window.height * down >= f64::from(size.1.get())
    };
    Scale::ALL.into_iter().find(enough).unwrap_or(Scale::Whole)
}

/// The picture's window in a plane's samples. It does not reach beyond the plane, whose last samples may stand for less
/// than a whole one of the picture.
fn in_plane(header: &JpegHeader, n: usize, scale: Scale, window: &Window, plane: &Plane) -> Window {
    let (across, down) = density(header, n, scale);
    let (x, y) = ((window.x * across).max(0.0), (window.y * down).max(0.0));
    let width = (window.width * across).min(f64::from(plane.width) - x);
    let height = (window.height * down).min(f64::from(plane.height) - y);
    Window { x, y, width, height }
}

#[cfg(test)]
mod tests {
    use image::DynamicImage;
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use moxcms::ColorProfile;

    use super::super::decode::Decoded;
    use super::super::{decode, encode, scale};
    use super::*;

    const LIMITS: fn() -> Limits = Limits::default;

    /// Soft waves of colour: so slow that it hardly matters by which filter the other way halves its chroma.
    fn file(sampling: SamplingFactor, progressive: bool, profile: Option<&ColorProfile>) -> Vec<u8> {
        let wave = |n: u16| (40.0 * (f32::from(n) / 30.0).sin()) as i32 + 100;
        let byte = |n: i32| u8::try_from(n.clamp(0, 255)).unwrap();
        let data: Vec<u8> = (0..301_u16)
            .flat_map(|y| (0..403_u16).flat_map(move |x| [wave(x), wave(y), wave(x / 2 + y)].map(byte)))
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 92);
        encoder.set_sampling_factor(sampling);
        encoder.set_progressive(progressive);
        if let Some(profile) = profile {
            encoder.add_icc_profile(&profile.encode().unwrap()).unwrap();
        }
        encoder.encode(&data, 403, 301, ColorType::Rgb).unwrap();
        bytes
    }

    fn geometries() -> [Geometry; 4] {
        let nonzero = |n| NonZeroU32::new(n).unwrap();
        let fit = |n| Geometry::Fit { width: Some(nonzero(n)), height: None };
        [fit(40), fit(150), fit(403), Geometry::Crop { width: nonzero(99), height: nonzero(31), region: Region::Right }]
    }

    #[test]
    fn planes_give_the_picture_that_pixels_give() {
        let encoding = Encoding::Jpeg(Quality::new(92).unwrap());
        for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2, SamplingFactor::F_2_1, SamplingFactor::F_1_2] {
            for (progressive, geometry) in [false, true].into_iter().flat_map(|p| geometries().map(|g| (p, g))) {
                let original = file(sampling, progressive, None);
                let header = Header::read(&original, &LIMITS()).unwrap();
                let frame = Frame::new(header.oriented_size(), geometry);
                let planar =
                    Planar::plan(&original, &header, &frame, geometry, encoding, &LIMITS()).expect("it applies");
                let ours = planar.render(&original, &frame, header.orientation, &Job::new(&LIMITS())).unwrap();
                let Decoded { pixels, conversion } = decode::decode(&original, &header, &Job::new(&LIMITS())).unwrap();
                let pixels = scale::scale(pixels, &conversion, header.orientation, &frame).unwrap();
                // As PNG: halving its chroma once more is the other encoder's affair.
                let theirs = encode::encode(pixels, Encoding::Png).unwrap();
                let [ours, theirs]: [DynamicImage; 2] = [ours, theirs].map(|b| image::load_from_memory(&b).unwrap());
                assert_eq!((ours.width(), ours.height()), (theirs.width(), theirs.height()));
                let luma: u64 =
                    ours.to_luma8().iter().zip(theirs.to_luma8().iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                assert!(luma < u64::from(ours.width() * ours.height()) * 3 / 2, "{geometry:?}: {luma}");
                let (ours, theirs) = (ours.to_rgb8(), theirs.to_rgb8());
                let off: u64 = ours.iter().zip(theirs.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
                assert!(off < 3 * ours.len() as u64, "{geometry:?}: {off} of {}", ours.len());
            }
        }
    }

    #[test]
    fn another_profile_or_format_or_a_smart_crop_goes_over_pixels() {
        let applies = |profile: Option<&ColorProfile>, geometry, encoding| {
            let original = file(SamplingFactor::F_2_2, false, profile);
            let header = Header::read(&original, &LIMITS()).unwrap();
            let frame = Frame::new(header.oriented_size(), geometry);
            Planar::plan(&original, &header, &frame, geometry, encoding, &LIMITS()).is_some()
        };
        let (fit, jpeg) = (geometries()[0], Encoding::Jpeg(Quality::new(80).unwrap()));
        assert!(applies(None, fit, jpeg));
        assert!(applies(Some(&ColorProfile::new_srgb()), fit, jpeg));
        assert!(!applies(Some(&ColorProfile::new_display_p3()), fit, jpeg));
        assert!(!applies(None, fit, Encoding::Png));
        let side = NonZeroU32::new(40).unwrap();
        assert!(!applies(None, Geometry::Crop { width: side, height: side, region: Region::Smart }, jpeg));
    }
}
