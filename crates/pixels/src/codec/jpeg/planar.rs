//! Originals that hold planes: JPEG, which is decoded small, and still lossy WebP.
//!
//! Most pixels of a camera's picture are thrown away when it is made small. So they are not made: planes come as small out of
//! the file as the largest variant allows, and each variant is scaled from the smallest plane that has enough samples for
//! it, whatever other variants are made beside it.

use std::num::NonZeroU32;

use image::metadata::Orientation;
use jpeg_planes::{ColorModel, Header as JpegHeader, Incomplete, Limits as JpegLimits, Options, Scale, Scales};

use crate::codec::planes::{Plane, Planes, Range, has_enough};
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

pub(crate) mod vp8;

/// How much the samples of a block may be off, as a root of mean squares in levels of 256, where a progressive JPEG's last scans
/// only make its coefficients finer.
///
/// Three cost 0.03 to 0.06 points of ssimulacra2 at 800 pixels (three photographs of 12 MP), and save a quarter to three quarters of the
/// time. Six cost half a point on one of them.
const TOLERANCE: f32 = 3.0;

/// Planes, and how their colours become sRGB.
pub(crate) struct Planar {
    pub(crate) planes: Planes,
    pub(crate) conversion: Conversion,
}

impl Planar {
    /// Planes that are enough for all these variants; `None` where the original holds none that could be used.
    ///
    /// # Errors
    /// The original is damaged or cut short.
    pub(crate) fn decode(
        original: &[u8],
        header: &Header,
        variants: &[(Geometry, Encoding)],
        job: &Job,
    ) -> Result<Option<Self>, RenderError> {
        // Planes are scaled as they are coded, which is not as light.
        if job.finish.linear_light {
            return Ok(None);
        }
        match (&header.jpeg, &header.vp8) {
            (Some(jpeg), _) => jpeg_planes(original, header, jpeg, variants, job).map(Some),
            (None, Some(vp8)) => vp8::planes(original, header, vp8, variants, job).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn jpeg_planes(
    original: &[u8],
    header: &Header,
    jpeg: &JpegHeader,
    variants: &[(Geometry, Encoding)],
    job: &Job,
) -> Result<Planar, RenderError> {
    let conversion = Conversion::of_light(jpeg_profile(original, jpeg).as_deref(), if is_grey(jpeg) { 1 } else { 3 });
    let scales = scales(header, jpeg, variants);
    let incomplete = if job.keeps_incomplete() { Incomplete::Keep } else { Incomplete::Refuse };
    let limits = JpegLimits { pixels: job.pixels_max, scans: job.scans_max, ..JpegLimits::default() };
    let should_continue = || job.deadline.is_ahead();
    let options = Options { scales, incomplete, limits, tolerance: TOLERANCE, should_continue: &should_continue };
    let planes = jpeg_planes::decode(original, jpeg, &options).map_err(|error| match error {
        jpeg_planes::Error::Cancelled => job.deadline.error(),
        error => RenderError::Damaged { reason: error.to_string() },
    })?;
    let planes = planes.into_iter().map(|plane| Plane {
        component: plane.component,
        density: density(jpeg, plane.component, plane.mode),
        serves: density(jpeg, plane.component, plane.mode),
        samples: Pixels { width: plane.width, height: plane.height, channels: 1, data: plane.data },
    });
    Ok(Planar { planes: Planes { range: Range::Full, planes: planes.collect() }, conversion })
}

/// The header of a JPEG that comes as planes which can be used, if it is one.
pub(crate) fn jpeg_header(original: &[u8], limits: &Limits) -> Option<JpegHeader> {
    if limits.finish.linear_light {
        return None;
    }
    let limits = JpegLimits { pixels: limits.input_pixels, ..JpegLimits::default() };
    JpegHeader::read(original, &limits).ok().filter(|jpeg| jpeg.color_model != ColorModel::Rgb)
}

/// How its EXIF says that a JPEG is to be turned.
pub(crate) fn jpeg_orientation(original: &[u8], jpeg: &JpegHeader) -> Orientation {
    let exif = jpeg.exif.clone().and_then(|place| original.get(place));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}

/// An upper bound, in bytes, of what decoding a JPEG for these variants allocates.
pub(crate) fn jpeg_bytes(header: &Header, jpeg: &JpegHeader, variants: &[(Geometry, Encoding)]) -> u64 {
    jpeg.working_bytes(scales(header, jpeg, variants))
}

/// For each component the scales that the variants are made of.
///
/// Chroma has as many samples as luma also where the variant's is halved: scaled from just enough means of blocks it was
/// up to 0.6 points of ssimulacra2 worse.
fn scales(header: &Header, jpeg: &JpegHeader, variants: &[(Geometry, Encoding)]) -> [Scales; 3] {
    let of_variant = |n: usize, (geometry, _): &(Geometry, Encoding)| {
        let frame = Frame::new(header.oriented_size(), *geometry);
        let (window, size) = frame.stored(header.orientation);
        let scale = smallest_scale(jpeg, n, &window, size);
        if !matches!(geometry, Geometry::Crop { region: Region::Smart, .. }) {
            return Scales::from(scale);
        }
        // What the crop is found by: not from whatever else is there, or it would depend on the company.
        let (whole, size) = frame.reduced(header.orientation, attention::SIDE);
        Scales::from(scale).union(smallest_scale(jpeg, n, &whole, size).into())
    };
    [0, 1, 2].map(|n| {
        let scales = variants.iter().map(|variant| of_variant(n, variant));
        scales.reduce(Scales::union).unwrap_or(Scale::Full.into())
    })
}

/// Up to how many pixels a variant is made of pixels where planes would do.
///
/// Scaled apart, planes make colours that no pixel can have, the more the stronger the colours are. A detour over pixels cuts
/// those off before chroma is halved. At 300 pixels that gives back up to 0.9 points of ssimulacra2 as JPEG and 1.8 as WebP (0.2
/// and 0.3 in the mean of seven pictures) for 2 to 4 % of the time; at 800 and 1600 it gives nothing for 12 % and 22 % of a
/// JPEG's time.
const WHOLE_PIXELS_MAX: u32 = 1 << 17;

/// Whether a variant in sRGB is made of planes with halved chroma rather than of pixels.
pub(crate) fn halves(encoding: Encoding, (width, height): (NonZeroU32, NonZeroU32), job: &Job) -> bool {
    if width.saturating_mul(height).get() <= WHOLE_PIXELS_MAX {
        return false;
    }
    match encoding {
        Encoding::Jpeg(_) => !job.finish.jpeg_progressive,
        Encoding::WebP(quality) => !quality.is_lossless(),
        Encoding::Png | Encoding::Avif(_) | Encoding::Gif => false,
    }
}

/// The smallest scale that has at least as many samples in the window as the variant is to have.
fn smallest_scale(jpeg: &JpegHeader, n: usize, window: &Window, size: (NonZeroU32, NonZeroU32)) -> Scale {
    let enough = |scale: &Scale| has_enough(density(jpeg, n, *scale), window, size);
    Scale::ALL.into_iter().find(enough).unwrap_or(Scale::Full)
}

/// Samples of component `n` at `scale` that lie on one pixel of the picture, across and down.
fn density(jpeg: &JpegHeader, n: usize, scale: Scale) -> (f64, f64) {
    let all = (0..jpeg.component_count()).filter_map(|n| jpeg.sampling(n));
    let (h, v) = all.fold((1, 1), |(h, v), s| (h.max(s.horizontal), v.max(s.vertical)));
    let own = jpeg.sampling(n).map_or((h, v), |s| (s.horizontal, s.vertical));
    let part = f64::from(u8::try_from(scale.points()).unwrap_or(8)) / 8.0;
    (part * f64::from(own.0) / f64::from(h), part * f64::from(own.1) / f64::from(v))
}

fn is_grey(jpeg: &JpegHeader) -> bool {
    jpeg.component_count() == 1
}

fn jpeg_profile(original: &[u8], jpeg: &JpegHeader) -> Option<Vec<u8>> {
    let parts = jpeg.icc.iter().filter_map(|part| original.get(part.clone()));
    Some(parts.flatten().copied().collect()).filter(|profile: &Vec<u8>| !profile.is_empty())
}

#[cfg(test)]
mod tests {
    use image::DynamicImage;
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use moxcms::ColorProfile;

    use crate::codec::webp::encode;
    use crate::limits::Limits;
    use crate::render::{decode, encode, render, render_each};
    use crate::render::source::Source;
    use super::*;
    use crate::encoding::Quality;

    fn limits() -> Limits {
        Limits::default()
    }

    /// Soft waves of colour: so slow that it hardly matters by which filter the other way halves its chroma.
    fn file(sampling: SamplingFactor, progressive: bool, profile: Option<&ColorProfile>) -> Vec<u8> {
        let wave = |n: u16| (40.0 * (f32::from(n) / 30.0).sin()) as i32 + 100;
        let byte = |n: i32| u8::try_from(n.clamp(0, 255)).unwrap();
        let data: Vec<u8> = (0..351_u16)
            .flat_map(|y| (0..453_u16).flat_map(move |x| [wave(x), wave(y), wave(x / 2 + y)].map(byte)))
            .collect();
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, 92);
        encoder.set_sampling_factor(sampling);
        encoder.set_progressive(progressive);
        if let Some(profile) = profile {
            encoder.add_icc_profile(&profile.encode().unwrap()).unwrap();
        }
        encoder.encode(&data, 453, 351, ColorType::Rgb).unwrap();
        bytes
    }

    fn geometries() -> [Geometry; 6] {
        let nonzero = |n| NonZeroU32::new(n).unwrap();
        let fit = |n| Geometry::Fit { width: Some(nonzero(n)), height: None };
        let crop = |width, height, region| Geometry::Crop { width: nonzero(width), height: nonzero(height), region };
        let (large, small) = (crop(439, 307, Region::Right), crop(99, 31, Region::Right));
        [fit(45), fit(150), fit(453), large, small, crop(99, 31, Region::Smart)]
    }

    /// Without the smart one: where nothing stands out, a level decides where it goes.
    fn fixed() -> impl Iterator<Item = Geometry> {
        geometries().into_iter().take(5)
    }

    fn encodings() -> [Encoding; 3] {
        let quality = Quality::new(92).unwrap();
        [Encoding::Jpeg(quality), Encoding::WebP(quality), Encoding::Png]
    }

    /// The variant by way of planes, and a PNG of it by way of whole pixels: halving its chroma is its encoder's affair.
    fn both_ways(original: &[u8], geometry: Geometry, encoding: Encoding) -> [DynamicImage; 2] {
        let (header, job) = (Header::read(original, &limits()).unwrap(), Job::new(&limits()));
        let planar =
            Planar::decode(original, &header, &[(geometry, encoding)], &job).unwrap().expect("it holds planes");
        let pixels = Source::Pixels(decode::decode(original, &header, &job).unwrap());
        let frame = Frame::new(header.oriented_size(), geometry);
        let make = |source: Source, encoding| {
            source
                .scale(frame, header.orientation, geometry, encoding, &Job::new(&limits()))
                .and_then(|scaled| scaled.encode(header.orientation, encoding, &Job::new(&limits())))
                .unwrap()
        };
        let made = [make(Source::Planes(planar), encoding), make(pixels, Encoding::Png)];
        made.map(|bytes| image::load_from_memory(&bytes).unwrap())
    }

    #[track_caller]
    fn alike(ours: &DynamicImage, theirs: &DynamicImage, what: &str) {
        assert_eq!((ours.width(), ours.height()), (theirs.width(), theirs.height()));
        let luma: u64 =
            ours.to_luma8().iter().zip(theirs.to_luma8().iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(luma < u64::from(ours.width() * ours.height()) * 2, "{what}: luma {luma}");
        let (ours, theirs) = (ours.to_rgb8(), theirs.to_rgb8());
        let off: u64 = ours.iter().zip(theirs.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(off < 3 * ours.len() as u64, "{what}: {off} of {}", ours.len());
    }

    #[test]
    fn planes_give_the_picture_that_pixels_give() {
        for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2, SamplingFactor::F_2_1, SamplingFactor::F_1_2] {
            for (progressive, profile) in [(false, None), (true, None), (false, Some(ColorProfile::new_display_p3()))] {
                let original = file(sampling, progressive, profile.as_ref());
                for (geometry, encoding) in fixed().flat_map(|g| encodings().map(|e| (g, e))) {
                    let [ours, theirs] = both_ways(&original, geometry, encoding);
                    alike(&ours, &theirs, &format!("{sampling:?} {progressive} {geometry:?} {encoding:?}"));
                }
            }
        }
    }

    #[test]
    fn a_small_variant_has_only_colours_that_pixels_can_have() {
        let original = file(SamplingFactor::F_2_2, false, None);
        let header = Header::read(&original, &limits()).unwrap();
        let quality = Quality::new(92).unwrap();
        for (width, is_small) in [(150, true), (300, true), (430, false)] {
            let geometry = Geometry::Fit { width: NonZeroU32::new(width), height: None };
            let make = |encoding| render(&original, &header, geometry, encoding, &limits()).unwrap();
            let shown = image::load_from_memory(&make(Encoding::Png)).unwrap().to_rgb8();
            let (width, height) = shown.dimensions();
            for encoding in [Encoding::Jpeg(quality), Encoding::WebP(quality)] {
                let pixels = Pixels { width, height, channels: 3, data: shown.as_raw().clone() };
                let of_pixels = encode::encode(pixels, encoding, &Job::new(&limits())).unwrap();
                assert_eq!(make(encoding) == of_pixels, is_small, "{width} {encoding:?}");
            }
        }
    }

    #[test]
    fn a_lossy_webp_comes_as_planes_and_other_webp_does_not() {
        let picture = image::load_from_memory(&file(SamplingFactor::F_1_1, false, None)).unwrap();
        let pixels = |channels, data| Pixels { width: 453, height: 351, channels, data };
        let lossy = webp::encode(&pixels(3, picture.to_rgb8().into_raw()), Quality::new(95).unwrap()).unwrap();
        for (geometry, encoding) in fixed().flat_map(|g| encodings().map(|e| (g, e))) {
            let [ours, theirs] = both_ways(&lossy, geometry, encoding);
            alike(&ours, &theirs, &format!("{geometry:?} {encoding:?}"));
        }
        let mut see_through = picture.to_rgba8().into_raw();
        see_through[3] = 7;
        let with_alpha = webp::encode(&pixels(4, see_through), Quality::new(95).unwrap()).unwrap();
        let mut lossless = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut lossless, image::ImageFormat::WebP).unwrap();
        for other in [with_alpha, lossless.into_inner()] {
            let header = Header::read(&other, &limits()).unwrap();
            assert!(
                Planar::decode(&other, &header, &[(geometries()[0], encodings()[0])], &Job::new(&limits()))
                    .unwrap()
                    .is_none()
            );
        }
    }

    #[test]
    fn a_variant_has_the_same_bytes_whether_it_is_made_alone_or_with_others() {
        let variants: Vec<_> = geometries().into_iter().flat_map(|g| encodings().map(|e| (g, e))).collect();
        let picture = image::load_from_memory(&file(SamplingFactor::F_2_2, false, None)).unwrap();
        let rgb = Pixels { width: 453, height: 351, channels: 3, data: picture.to_rgb8().into_raw() };
        let originals = [
            file(SamplingFactor::F_2_2, false, None),
            file(SamplingFactor::F_2_2, true, None),
            file(SamplingFactor::F_2_1, false, Some(&ColorProfile::new_display_p3())),
            webp::encode(&rgb, Quality::new(95).unwrap()).unwrap(),
            encode::encode(rgb, Encoding::Png, &Job::new(&limits())).unwrap(),
        ];
        for original in originals {
            let header = Header::read(&original, &limits()).unwrap();
            let mut together = vec![Vec::new(); variants.len()];
            render_each(&original, &header, &variants, &limits(), |n, made| together[n] = made.unwrap());
            for ((geometry, encoding), together) in variants.iter().zip(together) {
                let alone = render(&original, &header, *geometry, *encoding, &limits()).unwrap();
                assert!(alone == together, "{:?} {geometry:?} {encoding:?}", header.codec);
            }
        }
    }

    #[test]
    fn one_that_cannot_be_made_keeps_no_other_from_being_made() {
        let original = file(SamplingFactor::F_2_2, false, None);
        let header = Header::read(&original, &limits()).unwrap();
        let small = Limits { output_pixels: 100 * 100, ..limits() };
        let variants = [geometries()[2], geometries()[0]].map(|geometry| (geometry, encodings()[0]));
        let mut outcomes = Vec::new();
        render_each(&original, &header, &variants, &small, |n, made| outcomes.push((n, made.is_ok())));
        assert_eq!(outcomes, [(0, false), (1, true)]);
        // Damage that only the larger one meets: the file is progressive, and cut off behind its DC.
        let whole = file(SamplingFactor::F_1_1, true, None);
        let header = Header::read(&whole, &limits()).unwrap();
        let cut = &whole[..whole.len() * 3 / 4];
        let mut outcomes = Vec::new();
        render_each(cut, &header, &variants, &limits(), |n, made| outcomes.push((n, made.is_ok())));
        assert_eq!(outcomes, [(0, false), (1, true)]);
    }
}
