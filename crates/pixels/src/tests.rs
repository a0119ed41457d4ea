//! The whole pipeline, on small pictures made here.

use std::io::Cursor;
use std::num::{NonZeroU16, NonZeroU32};
use std::time::Duration;

use image::codecs::png::PngEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageEncoder as _, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};

use moxcms::ColorProfile;

use super::*;
use crate::context::RenderContext;

mod alpha;
mod animations;
mod planar;

const LIMITS: Limits = Limits {
    input_pixels: 1_000_000,
    output_pixels: 1_000_000,
    frames: 100,
    animation_pixels: 10_000_000,
    scans: 64,
    render_time: Duration::from_secs(30),
    incomplete: Incomplete::Refuse,
    avif_originals: true,
    encode: EncodeOptions { jpeg_progressive: false, png_colors: None, linear_light: false },
};

fn nonzero(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn fit(width: u32, height: u32) -> Geometry {
    Geometry::Fit { width: Some(nonzero(width)), height: Some(nonzero(height)) }
}

fn jpeg_q90() -> Encoding {
    Encoding::Jpeg(Quality::new(90).unwrap())
}

fn webp_q90() -> Encoding {
    Encoding::WebP(Quality::new(90).unwrap())
}

fn bytes(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn render(
    original: &[u8],
    header: &Header,
    geometry: Geometry,
    encoding: Encoding,
    limits: &Limits,
) -> Result<Vec<u8>, Error> {
    crate::render::render(original, header, OutputSpec { geometry, encoding }, &RenderOptions::new(limits))
}

fn render_each(
    original: &[u8],
    header: &Header,
    outputs: &[OutputSpec],
    limits: &Limits,
    done: impl FnMut(usize, Result<Vec<u8>, Error>),
) {
    crate::render::render_each(original, header, outputs, &RenderOptions::new(limits), done);
}

fn make(original: &[u8], geometry: Geometry, encoding: Encoding) -> Result<DynamicImage, Error> {
    let header = Header::read(original, &LIMITS)?;
    let made = render(original, &header, geometry, encoding, &LIMITS)?;
    Ok(image::load_from_memory(&made).unwrap())
}

/// Colors that change slowly, as a photograph's do.
fn gradient(width: u32, height: u32) -> DynamicImage {
    let channel = |n: u32, of: u32| u8::try_from(n * 255 / of).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([channel(x, width), channel(y, height), 128])).into()
}

#[track_caller]
fn alike(a: &DynamicImage, b: &DynamicImage, tolerance: u8) {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let worst = a.to_rgb8().iter().zip(b.to_rgb8().iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst.unwrap() <= tolerance, "a sample is off by {worst:?}");
}

#[test]
fn every_format_in_becomes_every_format_out() {
    let picture = gradient(120, 80);
    let expected = picture.resize_exact(60, 40, image::imageops::FilterType::Lanczos3);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let original = bytes(&picture, format);
        // A GIF has 256 colors.
        let tolerance = if format == ImageFormat::Gif { 40 } else { 12 };
        for encoding in
            [jpeg_q90(), Encoding::Png, webp_q90(), Encoding::WebP(Quality::new(100).unwrap()), Encoding::Gif]
        {
            // So has what is written.
            let tolerance = if encoding == Encoding::Gif { 64 } else { tolerance };
            let header = Header::read(&original, &LIMITS).unwrap();
            let made = render(&original, &header, fit(60, 60), encoding, &LIMITS).unwrap();
            assert_eq!(sniff(&made), Some(encoding.format().media_type()), "{format:?}");
            alike(&image::load_from_memory(&made).unwrap(), &expected, tolerance);
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let original = bytes(&gradient(120, 80), ImageFormat::Png);
    let header = Header::read(&original, &LIMITS).unwrap();
    for encoding in [jpeg_q90(), Encoding::Png, webp_q90()] {
        let make = || render(&original, &header, fit(50, 50), encoding, &LIMITS).unwrap();
        assert_eq!(make(), make());
    }
}

/// A JPEG with an EXIF segment that holds nothing but the orientation.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn all_eight_orientations_come_out_upright() {
    let upright = gradient(64, 48);
    for exif in 1..=8 {
        let orientation = Orientation::from_exif(exif).unwrap();
        // What must be stored so that turning it gives the upright picture: quarter turns are undone by their opposites.
        let undo = match orientation {
            Orientation::Rotate90 => Orientation::Rotate270,
            Orientation::Rotate270 => Orientation::Rotate90,
            other => other,
        };
        let mut stored = upright.clone();
        stored.apply_orientation(undo);
        let original = with_orientation(&bytes(&stored, ImageFormat::Jpeg), exif);
        let header = Header::read(&original, &LIMITS).unwrap();
        assert_eq!((header.info.orientation, header.oriented_size()), (orientation, (64, 48)));
        let expected = upright.resize_exact(32, 24, image::imageops::FilterType::Lanczos3);
        alike(&make(&original, fit(32, 32), jpeg_q90()).unwrap(), &expected, 16);

        let left = Geometry::Crop { width: nonzero(16), height: nonzero(48), region: Region::Left };
        let made = make(&original, left, jpeg_q90()).unwrap();
        alike(&made, &upright.crop_imm(0, 0, 16, 48), 24);
    }
}

#[test]
fn jpeg_lays_alpha_on_white_and_the_others_keep_it() {
    let picture = RgbaImage::from_fn(64, 64, |x, _| if x < 32 { Rgba([0, 0, 200, 255]) } else { Rgba([200, 0, 0, 0]) });
    let original = bytes(&picture.into(), ImageFormat::Png);
    let jpeg = make(&original, fit(32, 32), jpeg_q90()).unwrap().to_rgb8();
    assert!(jpeg.get_pixel(28, 16).0.iter().all(|&sample| sample > 250), "{:?}", jpeg.get_pixel(28, 16));
    assert!(jpeg.get_pixel(4, 16).0[2] > 180 && jpeg.get_pixel(4, 16).0[0] < 20);
    for encoding in [Encoding::Png, webp_q90()] {
        let made = make(&original, fit(32, 32), encoding).unwrap().to_rgba8();
        assert_eq!((made.get_pixel(4, 16).0[3], made.get_pixel(28, 16).0[3]), (255, 0), "{encoding:?}");
    }
}

#[test]
fn what_cannot_be_seen_does_not_bleed_into_what_can() {
    // Opaque white beside transparent black: without premultiplication the edge would be gray.
    let picture = RgbaImage::from_fn(60, 60, |x, _| if x < 31 { Rgba([255; 4]) } else { Rgba([0; 4]) });
    let made = make(&bytes(&picture.into(), ImageFormat::Png), fit(20, 20), Encoding::Png).unwrap().to_rgba8();
    let seen: Vec<_> = made.pixels().filter(|pixel| pixel.0[3] > 8).collect();
    assert!(!seen.is_empty() && seen.iter().all(|pixel| pixel.0[..3].iter().all(|&sample| sample > 245)));
}

#[test]
fn gray_stays_gray() {
    let picture = GrayImage::from_fn(64, 64, |x, _| Luma([u8::try_from(x * 4).unwrap()]));
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        let original = bytes(&picture.clone().into(), format);
        let header = Header::read(&original, &LIMITS).unwrap();
        for encoding in [jpeg_q90(), Encoding::Png] {
            let made = render(&original, &header, fit(32, 32), encoding, &LIMITS).unwrap();
            assert_eq!(
                image::load_from_memory(&made).unwrap().color(),
                image::ColorType::L8,
                "{format:?} {encoding:?}"
            );
        }
        let webp = make(&original, fit(32, 32), webp_q90()).unwrap().to_rgb8();
        assert!(webp.pixels().all(|pixel| pixel.0.iter().all(|sample| sample.abs_diff(pixel.0[0]) < 6)));
    }
}

#[test]
fn sixteen_bits_are_read_as_eight() {
    let eight = gradient(64, 48);
    let original = bytes(&eight.to_rgb16().into(), ImageFormat::Png);
    alike(&make(&original, fit(64, 48), Encoding::Png).unwrap(), &eight, 0);
}

#[test]
fn a_picture_that_fits_keeps_its_pixels() {
    let picture = gradient(64, 48);
    alike(&make(&bytes(&picture, ImageFormat::Png), fit(4000, 4000), Encoding::Png).unwrap(), &picture, 0);
}

#[test]
fn a_flat_color_stays_what_it_is_at_every_size() {
    let picture: DynamicImage = RgbImage::from_pixel(97, 61, Rgb([200, 100, 50])).into();
    let original = bytes(&picture, ImageFormat::Png);
    for side in [1, 2, 3, 7, 30, 60] {
        let made = make(&original, fit(side, side), Encoding::Png).unwrap().to_rgb8();
        assert!(made.pixels().all(|pixel| pixel.0 == [200, 100, 50]), "{side}");
    }
}

#[test]
fn other_formats_are_refused_by_name_and_other_bytes_as_no_picture() {
    for (original, word) in [
        (&b"\0\0\0\x18ftypheic\0\0\0\0mif1"[..], "HEIC"),
        (b"\xFF\x0A\0\0", "JPEG XL"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"", "not a picture"),
    ] {
        let error = Header::read(original, &LIMITS).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn an_avif_is_refused_by_name_where_it_is_not_decoded() {
    let original = b"\0\0\0\x1Cftypavif\0\0\0\0mif1";
    let limits = Limits { avif_originals: false, ..LIMITS };
    let error = Header::read(original, &limits).unwrap_err();
    assert!(matches!(error, Error::UnsupportedFormat { format: "AVIF" }), "{error}");
    let is_decoded = !matches!(Header::read(original, &LIMITS), Err(Error::UnsupportedFormat { .. }));
    assert_eq!(is_decoded, cfg!(feature = "avif-originals"));
}

/// Headers that promise more pixels than anyone wants to allocate.
fn bombs() -> Vec<Vec<u8>> {
    let small = |format| bytes(&gradient(8, 8), format);
    let replaced = |mut bytes: Vec<u8>, at: usize, with: &[u8]| {
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let jpeg = small(ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|window| window == [0xFF, 0xC0]).unwrap() + 5;
    let mut png = replaced(small(ImageFormat::Png), 16, &[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    let sum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    vec![
        replaced(jpeg, frame, &[0xFF; 4]),
        png,
        replaced(small(ImageFormat::Gif), 6, &[0xFF; 4]),
        // VP8L: 14 bits of width less one, 14 of height less one, after the signature: 16,383 each.
        replaced(small(ImageFormat::WebP), 21, &[0xFE, 0xBF, 0xFF, 0x0F]),
    ]
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[test]
fn a_header_that_promises_too_many_pixels_is_refused_before_any_is_allocated() {
    for bomb in bombs() {
        let error = Header::read(&bomb, &LIMITS).unwrap_err();
        assert!(matches!(error, Error::TooManyPixels { .. }), "{:?}: {error}", sniff(&bomb));
    }
}

#[test]
fn an_output_over_its_limit_is_refused() {
    let original = bytes(&gradient(100, 100), ImageFormat::Png);
    let limits = Limits { output_pixels: 100, ..LIMITS };
    let header = Header::read(&original, &limits).unwrap();
    let error = render(&original, &header, fit(11, 11), Encoding::Png, &limits).unwrap_err();
    assert!(error.to_string().contains("limits.output_pixels"), "{error}");
    assert!(render(&original, &header, fit(10, 10), Encoding::Png, &limits).is_ok());
}

#[test]
fn damaged_files_are_an_error_or_a_picture_and_never_a_panic() {
    let picture = gradient(48, 32);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let whole = bytes(&picture, format);
        for sixteenth in 0..16 {
            let _ = make(&whole[..whole.len() * sixteenth / 16], fit(20, 20), jpeg_q90());
        }
        // A linear congruential generator (Numerical Recipes): the same mutations on every run.
        let mut seed = 1_u32;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(seed >> 8).unwrap() % below
        };
        for _ in 0..1000 {
            let mut mutated = whole.clone();
            for _ in 0..=random(4) {
                let at = random(mutated.len());
                mutated[at] = u8::try_from(random(256)).unwrap();
            }
            if let Ok(made) = make(&mutated, fit(20, 20), Encoding::Png) {
                assert!(made.width() <= 20 && made.height() <= 20);
            }
        }
    }
}

#[test]
fn a_png_cut_short_is_an_error_rather_than_half_a_picture() {
    let whole = bytes(&gradient(48, 32), ImageFormat::Png);
    let error = make(&whole[..whole.len() / 2], fit(20, 20), Encoding::Png).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

/// A PNG with a color profile.
fn with_profile(picture: &DynamicImage, profile: &ColorProfile) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(profile.encode().unwrap()).unwrap();
    picture.write_with_encoder(encoder).unwrap();
    bytes
}

fn one_color(color: [u8; 3]) -> DynamicImage {
    RgbImage::from_pixel(16, 16, Rgb(color)).into()
}

#[test]
fn wide_gamuts_become_srgb_whose_numbers_are_known() {
    // Computed from the primaries and curves of each space as its specification gives them, in 64 bits.
    let table = [
        (ColorProfile::new_display_p3(), [255, 0, 0], [255, 0, 0]),
        (ColorProfile::new_display_p3(), [200, 100, 50], [215, 93, 31]),
        (ColorProfile::new_display_p3(), [128, 128, 128], [128, 128, 128]),
        (ColorProfile::new_adobe_rgb(), [200, 100, 50], [227, 100, 42]),
        (ColorProfile::new_adobe_rgb(), [255, 255, 255], [255, 255, 255]),
        (ColorProfile::new_pro_photo_rgb(), [128, 128, 128], [146, 146, 146]),
    ];
    for (profile, from, to) in table {
        let original = with_profile(&one_color(from), &profile);
        for side in [16, 8] {
            let made = make(&original, fit(side, side), Encoding::Png).unwrap().to_rgb8();
            let got = made.get_pixel(3, 3).0;
            let off = got.iter().zip(to).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 2, "{from:?} should be {to:?} and is {got:?}");
        }
    }
}

#[test]
fn variants_carry_no_profile_and_no_metadata() {
    let original = with_profile(&gradient(64, 48), &ColorProfile::new_display_p3());
    let header = Header::read(&original, &LIMITS).unwrap();
    for encoding in [jpeg_q90(), Encoding::Png, webp_q90()] {
        let made = render(&original, &header, fit(32, 32), encoding, &LIMITS).unwrap();
        for name in [&b"ICC_PROFILE"[..], b"iCCP", b"ICCP", b"Exif", b"EXIF", b"eXIf", b"http://ns.adobe.com"] {
            assert!(!made.windows(name.len()).any(|window| window == name), "{encoding:?} {}", name.escape_ascii());
        }
    }
}

#[test]
fn srgb_by_any_name_keeps_its_samples() {
    let mut profile = ColorProfile::new_srgb();
    profile.description = None;
    let picture = gradient(64, 48);
    alike(&make(&with_profile(&picture, &profile), fit(64, 48), Encoding::Png).unwrap(), &picture, 0);
}

#[test]
fn a_gray_profile_moves_grays_and_alpha_stays() {
    let profile = ColorProfile::new_gray_with_gamma(1.0);
    let gray: DynamicImage = GrayImage::from_pixel(16, 16, Luma([55])).into();
    let made = make(&with_profile(&gray, &profile), fit(8, 8), Encoding::Png).unwrap();
    assert_eq!(made.color(), image::ColorType::L8);
    // 55/255 of the light is 128 on sRGB's curve (IEC 61966-2-1).
    assert!(made.to_luma8().get_pixel(4, 4).0[0].abs_diff(128) <= 1, "{:?}", made.to_luma8().get_pixel(4, 4));

    let clear: DynamicImage = RgbaImage::from_pixel(16, 16, Rgba([200, 100, 50, 77])).into();
    let made = make(&with_profile(&clear, &ColorProfile::new_display_p3()), fit(8, 8), Encoding::Png).unwrap();
    assert_eq!(made.to_rgba8().get_pixel(4, 4).0[3], 77);
    assert!(made.to_rgba8().get_pixel(4, 4).0[0] > 208, "{:?}", made.to_rgba8().get_pixel(4, 4));
}

#[test]
fn a_profile_that_is_damaged_or_of_other_channels_is_passed_over() {
    let picture = gradient(64, 48);
    let gray_profile = ColorProfile::new_gray_with_gamma(1.0);
    alike(&make(&with_profile(&picture, &gray_profile), fit(64, 48), Encoding::Png).unwrap(), &picture, 0);
    let mut bytes = Vec::new();
    let mut encoder = PngEncoder::new(&mut bytes);
    encoder.set_icc_profile(vec![0xAA; 400]).unwrap();
    picture.write_with_encoder(encoder).unwrap();
    alike(&make(&bytes, fit(64, 48), Encoding::Png).unwrap(), &picture, 0);
}

#[test]
fn converting_after_scaling_keeps_the_light_at_least_as_well_as_converting_before() {
    // Hard edges between colors far apart, where the two differ most.
    let picture: DynamicImage =
        RgbImage::from_fn(
            128,
            96,
            |x, y| {
                if (x / 16 + y / 16) % 2 == 0 { Rgb([200, 90, 80]) } else { Rgb([80, 150, 100]) }
            },
        )
        .into();
    // The mean light of each channel, by sRGB's curve (IEC 61966-2-1).
    let light = |picture: &DynamicImage| -> [f64; 3] {
        let linear = |sample: u8| {
            let sample = f64::from(sample) / 255.0;
            if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) }
        };
        let picture = picture.to_rgb8();
        [0, 1, 2].map(|n| {
            picture.pixels().map(|p| linear(p.0[n])).sum::<f64>() / f64::from(picture.width() * picture.height())
        })
    };
    for profile in [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_pro_photo_rgb()] {
        let original = with_profile(&picture, &profile);
        let converted = make(&original, fit(128, 96), Encoding::Png).unwrap();
        let after = make(&original, fit(50, 50), Encoding::Png).unwrap();
        let before = make(&bytes(&converted, ImageFormat::Png), fit(50, 50), Encoding::Png).unwrap();
        let lost = |made: &DynamicImage| -> f64 {
            light(made).iter().zip(light(&converted)).map(|(made, whole)| (made - whole).abs()).sum()
        };
        assert!(lost(&after) <= lost(&before) + 0.002, "{} against {}", lost(&after), lost(&before));
    }
}

/// A JPEG of one color of ink, as Adobe's programs write them; `color` is CMYK or YCCK.
fn inks(ink: [u8; 4], color: jpeg_encoder::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels: Vec<u8> = (0..64 * 64).flat_map(|_| ink).collect();
    jpeg_encoder::Encoder::new(&mut bytes, 95).encode(&pixels, 64, 64, color).unwrap();
    bytes
}

#[test]
fn inks_without_a_profile_let_light_through() {
    let table = [
        ([0, 0, 0, 0], [255, 255, 255]),
        ([0, 0, 0, 255], [0, 0, 0]),
        ([255, 0, 0, 0], [0, 255, 255]),
        ([0, 255, 0, 0], [255, 0, 255]),
        ([0, 0, 255, 0], [255, 255, 0]),
        ([100, 50, 0, 55], [122, 161, 200]),
    ];
    for (ink, light) in table {
        for color in [jpeg_encoder::ColorType::Cmyk, jpeg_encoder::ColorType::CmykAsYcck] {
            let made = make(&inks(ink, color), fit(20, 20), Encoding::Png).unwrap().to_rgb8();
            let got = made.get_pixel(10, 10).0;
            let off = got.iter().zip(light).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 4, "{ink:?} {color:?} should be {light:?} and is {got:?}");
        }
    }
}

#[test]
fn a_smart_crop_keeps_what_stands_out_also_where_it_is_turned() {
    // A checkered square at the right end of a flat picture.
    let picture: DynamicImage = RgbImage::from_fn(240, 60, |x, y| {
        let inside = (190..230).contains(&x) && (10..50).contains(&y);
        if inside { Rgb([(if (x / 4 + y / 4) % 2 == 0 { 250 } else { 10 }); 3]) } else { Rgb([120, 125, 130]) }
    })
    .into();
    let smart = Geometry::Crop { width: nonzero(60), height: nonzero(60), region: Region::Smart };
    let detail = |made: &DynamicImage| made.to_luma8().pixels().filter(|pixel| pixel.0[0].abs_diff(124) > 60).count();
    let upright = make(&bytes(&picture, ImageFormat::Png), smart, Encoding::Png).unwrap();
    assert_eq!((upright.width(), upright.height()), (60, 60));
    assert!(detail(&upright) > 1200, "{}", detail(&upright));
    // Stored on its side: EXIF 6 turns it a quarter clockwise to be seen.
    let original = with_orientation(&bytes(&picture.rotate270(), ImageFormat::Jpeg), 6);
    let turned = make(&original, smart, Encoding::Png).unwrap();
    assert!(detail(&turned) > 1200, "{}", detail(&turned));
}

#[test]
fn an_animated_png_gives_its_first_picture() {
    // acTL after the header makes it an animation; the picture itself is the first frame.
    let still = bytes(&gradient(32, 32), ImageFormat::Png);
    let chunk = |kind: &[u8; 4], data: &[u8]| {
        let body = [&kind[..], data].concat();
        [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
    };
    let mut control = Vec::new();
    for n in [0, 32, 32, 0, 0_u32] {
        control.extend(n.to_be_bytes());
    }
    control.extend([0, 10, 0, 100, 0, 0]);
    let original = [&still[..33], &chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]), &chunk(b"fcTL", &control), &still[33..]];
    alike(&make(&original.concat(), fit(32, 32), Encoding::Png).unwrap(), &gradient(32, 32), 0);
}

#[test]
fn a_webp_at_quality_100_is_the_picture_itself() {
    let picture = gradient(64, 48);
    let original = bytes(&picture, ImageFormat::Png);
    alike(&make(&original, fit(64, 48), Encoding::WebP(Quality::new(100).unwrap())).unwrap(), &picture, 0);
}

/// `tests/avif.py`, where Pillow is at hand, looks at what is inside.
#[cfg(feature = "avif")]
#[test]
fn an_avif_is_one_and_the_better_the_larger() {
    let clear = RgbaImage::from_fn(61, 47, |x, y| Rgba([200, (x * 4) as u8, (y * 5) as u8, (x * 4) as u8])).into();
    let gray = GrayImage::from_fn(61, 47, |x, y| Luma([(x * y % 256) as u8])).into();
    for (name, picture) in [("colors", gradient(61, 47)), ("alpha", clear), ("gray", gray)] {
        let original = bytes(&picture, ImageFormat::Png);
        let header = Header::read(&original, &LIMITS).unwrap();
        let make = |quality| {
            let encoding = Encoding::Avif(Quality::new(quality).unwrap());
            render(&original, &header, fit(61, 47), encoding, &LIMITS).unwrap()
        };
        let [small, large] = [make(20), make(95)];
        assert_eq!(sniff(&small), Some("image/avif"));
        assert!(small.len() < large.len(), "{name}: {} and {}", small.len(), large.len());
        assert_eq!(small, make(20), "{name}");
        let has_alpha = large.windows(4).any(|name| name == b"auxC");
        assert_eq!(has_alpha, name == "alpha");
    }
}

fn finished(original: &[u8], encoding: Encoding, encode: EncodeOptions) -> Vec<u8> {
    let limits = Limits { encode, ..LIMITS };
    let header = Header::read(original, &limits).unwrap();
    render(original, &header, fit(32, 24), encoding, &limits).unwrap()
}

#[test]
fn jpegs_are_progressive_where_that_is_wanted() {
    let original = bytes(&gradient(64, 48), ImageFormat::Jpeg);
    let made = |jpeg_progressive| {
        finished(&original, jpeg_q90(), EncodeOptions { jpeg_progressive, ..EncodeOptions::default() })
    };
    let is_progressive = |jpeg: &[u8]| jpeg.windows(2).any(|marker| marker == [0xFF, 0xC2]);
    let (plain, progressive) = (made(false), made(true));
    assert!(!is_progressive(&plain) && is_progressive(&progressive));
    alike(&image::load_from_memory(&plain).unwrap(), &image::load_from_memory(&progressive).unwrap(), 16);
}

#[test]
fn a_png_has_no_more_colors_than_it_may() {
    let clear = RgbaImage::from_fn(64, 48, |x, y| Rgba([(x * 4) as u8, (y * 5) as u8, 90, (x * 4) as u8])).into();
    for (picture, has_alpha) in [(gradient(64, 48), false), (clear, true)] {
        let original = bytes(&picture, ImageFormat::Png);
        for colors in [256, 16] {
            let few = EncodeOptions { png_colors: NonZeroU16::new(colors), ..EncodeOptions::default() };
            let all = finished(&original, Encoding::Png, EncodeOptions::default());
            let made = finished(&original, Encoding::Png, few);
            assert!(made.len() < all.len() || colors > 16);
            let decoded = image::load_from_memory(&made).unwrap();
            assert_eq!(decoded.color().has_alpha(), has_alpha);
            let found: std::collections::HashSet<_> = decoded.to_rgba8().pixels().map(|pixel| pixel.0).collect();
            assert!(found.len() <= usize::from(colors), "{}", found.len());
        }
    }
}

#[test]
fn light_is_kept_where_that_is_wanted() {
    // Every second pixel white: half the light, which is 188 on sRGB's curve.
    let fine: DynamicImage = RgbImage::from_fn(64, 48, |x, y| Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3])).into();
    let original = bytes(&fine, ImageFormat::Png);
    for (linear_light, expected) in [(false, 128), (true, 188)] {
        let made = finished(&original, Encoding::Png, EncodeOptions { linear_light, ..EncodeOptions::default() });
        let got = image::load_from_memory(&made).unwrap().to_rgb8().get_pixel(16, 12).0;
        assert!(got.iter().all(|sample| sample.abs_diff(expected) <= 2), "{got:?}");
    }
}

#[test]
fn inks_without_an_adobe_marker_are_what_they_say() {
    let file = inks([200, 40, 90, 30], jpeg_encoder::ColorType::Cmyk);
    let marker = file.windows(9).position(|window| window == b"\xFF\xEE\0\x0EAdobe").unwrap();
    let without = [&file[..marker], &file[marker + 16..]].concat();
    let color = |file: &[u8]| make(file, fit(20, 20), Encoding::Png).unwrap().to_rgb8().get_pixel(10, 10).0;
    let light = |ink: [u8; 4]| [0, 1, 2].map(|n| (u16::from(255 - ink[n]) * u16::from(255 - ink[3]) / 255) as u8);
    for (got, ink) in [(color(&file), [200, 40, 90, 30]), (color(&without), [55, 215, 165, 225])] {
        let off = got.iter().zip(light(ink)).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(off <= 4, "{got:?} for {ink:?}");
    }
}
