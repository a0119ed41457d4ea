//! Variants that are rendered from YUV planes.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::*;
use crate::codec::decoded::Decoded;
use crate::codec::planes::{Range, Yuv420, limited_to_rgb};
use crate::codec::webp;
use crate::deadline::Deadline;
use crate::pixels::Pixels;
use crate::render::decode::{decode_pixels, decode_planes};
use crate::render::encode::encode_pixels;
use crate::render::scale::scale_decoded;
use crate::transform::color::Gamut;
use crate::transform::crop::CropWindow;

fn limits() -> Limits {
    Limits::default()
}

/// Smooth waves of color, for which the filter of the chroma subsampling makes hardly a difference.
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

/// All geometries but the smart crop, which may differ by rounding in an image without salient areas.
fn fixed_geometries() -> impl Iterator<Item = Geometry> {
    geometries().into_iter().take(5)
}

fn encodings() -> [Encoding; 3] {
    let quality = Quality::new(92).unwrap();
    [Encoding::Jpeg(quality), Encoding::WebP(quality), Encoding::Png]
}

/// Renders the variant from planes, and as a PNG from pixels, which has no chroma subsampling.
fn both_ways(original: &[u8], geometry: Geometry, encoding: Encoding) -> [DynamicImage; 2] {
    let encode = EncodeOptions { color: ColorPolicy::Srgb, ..limits().encode };
    let limits = Limits { encode, ..limits() };
    let (header, context) = (Header::read(original, &limits).unwrap(), RenderContext::new(&limits));
    let output = OutputSpec { geometry, encoding };
    let planar =
        decode_planes(original, &header, &[output], &context).unwrap().expect("the original decodes to planes");
    let pixels = Decoded::Pixels(decode_pixels(original, &header, &context).unwrap());
    let crop_window = CropWindow::new(header.oriented_size(), geometry);
    let orientation = header.info.orientation;
    let make = |decoded: Decoded, encoding| {
        let output = OutputSpec { geometry, encoding };
        let scaled = scale_decoded(&decoded, decoded.conversion(), crop_window, orientation, output, &encode).unwrap();
        scaled.encode(orientation, encoding, &context).unwrap().0
    };
    let made = [make(Decoded::Planes(planar), encoding), make(pixels, Encoding::Png)];
    made.map(|bytes| image::load_from_memory(&bytes).unwrap())
}

#[track_caller]
fn alike(ours: &DynamicImage, theirs: &DynamicImage, what: &str) {
    assert_eq!((ours.width(), ours.height()), (theirs.width(), theirs.height()));
    let luma: u64 = ours.to_luma8().iter().zip(theirs.to_luma8().iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(luma < u64::from(ours.width() * ours.height()) * 2, "{what}: luma {luma}");
    let (ours, theirs) = (ours.to_rgb8(), theirs.to_rgb8());
    let off: u64 = ours.iter().zip(theirs.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(off < 3 * ours.len() as u64, "{what}: {off} of {}", ours.len());
}

#[test]
fn planes_and_pixels_render_the_same_image() {
    for sampling in [SamplingFactor::F_1_1, SamplingFactor::F_2_2, SamplingFactor::F_2_1, SamplingFactor::F_1_2] {
        for (progressive, profile) in [(false, None), (true, None), (false, Some(ColorProfile::new_display_p3()))] {
            let original = file(sampling, progressive, profile.as_ref());
            for (geometry, encoding) in fixed_geometries().flat_map(|g| encodings().map(|e| (g, e))) {
                let [ours, theirs] = both_ways(&original, geometry, encoding);
                alike(&ours, &theirs, &format!("{sampling:?} {progressive} {geometry:?} {encoding:?}"));
            }
        }
    }
}

#[test]
fn small_variants_are_encoded_from_pixels() {
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
            let from_pixels = encode_pixels(pixels, Gamut::Srgb, encoding, &RenderContext::new(&limits())).unwrap();
            assert_eq!(make(encoding) == from_pixels, is_small, "{width} {encoding:?}");
        }
    }
}

#[test]
fn only_lossy_webp_without_alpha_decodes_to_planes() {
    let picture = image::load_from_memory(&file(SamplingFactor::F_1_1, false, None)).unwrap();
    let pixels = |channels, data| Pixels { width: 453, height: 351, channels, data };
    let lossy = webp::encode::encode(
        &pixels(3, picture.to_rgb8().into_raw()),
        Quality::new(95).unwrap(),
        crate::effort::WebpEffort::default(),
        Deadline::NEVER,
    )
    .unwrap();
    for (geometry, encoding) in fixed_geometries().flat_map(|g| encodings().map(|e| (g, e))) {
        let [ours, theirs] = both_ways(&lossy, geometry, encoding);
        alike(&ours, &theirs, &format!("{geometry:?} {encoding:?}"));
    }
    let mut transparent = picture.to_rgba8().into_raw();
    transparent[3] = 7;
    let with_alpha = webp::encode::encode(
        &pixels(4, transparent),
        Quality::new(95).unwrap(),
        crate::effort::WebpEffort::default(),
        Deadline::NEVER,
    )
    .unwrap();
    let mut lossless = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut lossless, image::ImageFormat::WebP).unwrap();
    for other in [with_alpha, lossless.into_inner()] {
        let header = Header::read(&other, &limits()).unwrap();
        assert!(
            decode_planes(
                &other,
                &header,
                &[OutputSpec { geometry: geometries()[0], encoding: encodings()[0] }],
                &RenderContext::new(&limits())
            )
            .unwrap()
            .is_none()
        );
    }
}

#[test]
fn batched_variants_have_the_same_bytes_as_single_ones() {
    let variants: Vec<_> = geometries()
        .into_iter()
        .flat_map(|geometry| encodings().map(|encoding| OutputSpec { geometry, encoding }))
        .collect();
    let picture = image::load_from_memory(&file(SamplingFactor::F_2_2, false, None)).unwrap();
    let rgb = Pixels { width: 453, height: 351, channels: 3, data: picture.to_rgb8().into_raw() };
    let originals = [
        file(SamplingFactor::F_2_2, false, None),
        file(SamplingFactor::F_2_2, true, None),
        file(SamplingFactor::F_2_1, false, Some(&ColorProfile::new_display_p3())),
        webp::encode::encode(&rgb, Quality::new(95).unwrap(), crate::effort::WebpEffort::default(), Deadline::NEVER)
            .unwrap(),
        encode_pixels(rgb, Gamut::Srgb, Encoding::Png, &RenderContext::new(&limits())).unwrap(),
    ];
    for original in originals {
        let header = Header::read(&original, &limits()).unwrap();
        let mut together = vec![Vec::new(); variants.len()];
        render_each(&original, &header, &variants, &limits(), |n, made| together[n] = made.unwrap());
        for (OutputSpec { geometry, encoding }, together) in variants.iter().zip(together) {
            let alone = render(&original, &header, *geometry, *encoding, &limits()).unwrap();
            assert!(alone == together, "{:?} {geometry:?} {encoding:?}", header.codec);
        }
    }
}

#[test]
fn failed_variant_does_not_affect_the_other_variants() {
    let original = file(SamplingFactor::F_2_2, false, None);
    let header = Header::read(&original, &limits()).unwrap();
    let small = Limits { output_pixels: 100 * 100, ..limits() };
    let variants = [geometries()[2], geometries()[0]].map(|geometry| OutputSpec { geometry, encoding: encodings()[0] });
    let mut outcomes = Vec::new();
    render_each(&original, &header, &variants, &small, |n, made| outcomes.push((n, made.is_ok())));
    assert_eq!(outcomes, [(0, false), (1, true)]);
    // Damage that affects only the larger variant: the progressive file is truncated after its DC scan.
    let whole = file(SamplingFactor::F_1_1, true, None);
    let header = Header::read(&whole, &limits()).unwrap();
    let cut = &whole[..whole.len() * 3 / 4];
    let mut outcomes = Vec::new();
    render_each(cut, &header, &variants, &limits(), |n, made| outcomes.push((n, made.is_ok())));
    assert_eq!(outcomes, [(0, false), (1, true)]);
}

/// A lossy WebP of one color, given as samples of limited range.
fn webp_of_one_color(samples: [u8; 3]) -> Vec<u8> {
    let plane = |side: u32, sample| Pixels {
        width: side,
        height: side,
        channels: 1,
        data: vec![sample; (side * side) as usize],
    };
    let planes = vec![plane(500, samples[0]), plane(250, samples[1]), plane(250, samples[2])];
    let planes = Yuv420 { range: Range::Limited, planes };
    crate::codec::webp::encode::encode_planes(
        planes,
        Quality::new(95).unwrap(),
        crate::effort::WebpEffort::default(),
        Deadline::after(LIMITS.render_time),
    )
    .unwrap()
}

#[test]
fn colors_with_luma_below_black_are_those_of_libwebp() {
    for (luma, blue, red) in [(0, 90, 240), (4, 60, 230), (8, 240, 110), (15, 128, 200), (250, 180, 60), (3, 128, 128)]
    {
        let original = webp_of_one_color([luma, blue, red]);
        let expected = limited_to_rgb(luma, blue, red);
        // Small variants are encoded from pixels, large ones from planes.
        for side in [100, 450, 500] {
            for encoding in [Encoding::Png, jpeg_q90(), webp_q90()] {
                let made = make(&original, fit(side, side), encoding).unwrap().to_rgb8();
                let center = made.get_pixel(side / 2, side / 2).0;
                let off = center.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                assert!(off <= 6, "{luma} {blue} {red} {side} {encoding:?}: {center:?}, not {expected:?}");
            }
        }
    }
}
