//! Tests of the whole pipeline on small generated images.

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
mod animated_png;
mod animations;
mod color;
mod copyright;
mod gain_maps;
mod jpeg;
#[cfg(all(feature = "jxl-originals", feature = "jxl-variants"))]
mod jxl;
mod linear_light;
mod options;
mod planar;
mod png_color;
mod stopping;
mod svg;
mod unchanged;
mod untrusted;

const LIMITS: Limits = Limits {
    input_pixels: 1_000_000,
    output_pixels: 1_000_000,
    frames: 100,
    animation_pixels: 10_000_000,
    scans: 64,
    render_time: Duration::from_secs(30),
    incomplete: Incomplete::Refuse,
    originals: Codecs::DEFAULT,
    encode: EncodeOptions {
        jpeg_progressive: false,
        jpeg_effort: JpegEffort::Fast,
        webp_effort: WebpEffort::DEFAULT,
        png_effort: PngEffort::Default,
        png_colors: None,
        linear_light: false,
        avif_depth: None,
        color: ColorPolicy::Keep,
        keep_copyright: true,
        gain_maps: false,
    },
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

/// A smooth gradient.
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
fn all_input_formats_convert_to_all_output_formats() {
    let picture = gradient(120, 80);
    let expected = picture.resize_exact(60, 40, image::imageops::FilterType::Lanczos3);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let original = bytes(&picture, format);
        // A GIF has at most 256 colors.
        let tolerance = if format == ImageFormat::Gif { 40 } else { 12 };
        for encoding in
            [jpeg_q90(), Encoding::Png, webp_q90(), Encoding::WebP(Quality::new(100).unwrap()), Encoding::Gif]
        {
            // A GIF variant is also limited to 256 colors.
            let tolerance = if encoding == Encoding::Gif { 64 } else { tolerance };
            let header = Header::read(&original, &LIMITS).unwrap();
            let made = render(&original, &header, fit(60, 60), encoding, &LIMITS).unwrap();
            assert_eq!(sniff(&made), Some(encoding.format().media_type()), "{format:?}");
            alike(&image::load_from_memory(&made).unwrap(), &expected, tolerance);
        }
    }
}

#[test]
fn same_input_gives_the_same_bytes() {
    let original = bytes(&gradient(120, 80), ImageFormat::Png);
    let header = Header::read(&original, &LIMITS).unwrap();
    for encoding in [jpeg_q90(), Encoding::Png, webp_q90()] {
        let make = || render(&original, &header, fit(50, 50), encoding, &LIMITS).unwrap();
        assert_eq!(make(), make());
    }
}

/// Adds an EXIF segment with only the orientation to a JPEG.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"\xFF\xE1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn all_eight_orientations_are_made_upright() {
    let upright = gradient(64, 48);
    for exif in 1..=8 {
        let orientation = Orientation::from_exif(exif).unwrap();
        // The stored image is the inverse transformation of the upright image. Only quarter turns differ from their
        // inverse.
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
fn jpeg_blends_alpha_onto_white_and_other_formats_keep_it() {
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
fn transparent_colors_do_not_bleed_into_visible_pixels() {
    // Opaque white next to transparent black: without premultiplication the edge would be gray.
    let picture = RgbaImage::from_fn(60, 60, |x, _| if x < 31 { Rgba([255; 4]) } else { Rgba([0; 4]) });
    let made = make(&bytes(&picture.into(), ImageFormat::Png), fit(20, 20), Encoding::Png).unwrap().to_rgba8();
    let seen: Vec<_> = made.pixels().filter(|pixel| pixel.0[3] > 8).collect();
    assert!(!seen.is_empty() && seen.iter().all(|pixel| pixel.0[..3].iter().all(|&sample| sample > 245)));
}

#[test]
fn gray_images_stay_gray() {
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
fn samples_of_16_bits_are_rounded_to_8() {
    let eight = gradient(64, 48);
    let original = bytes(&eight.to_rgb16().into(), ImageFormat::Png);
    alike(&make(&original, fit(64, 48), Encoding::Png).unwrap(), &eight, 0);
}

#[test]
fn image_that_fits_keeps_its_pixels() {
    let picture = gradient(64, 48);
    alike(&make(&bytes(&picture, ImageFormat::Png), fit(4000, 4000), Encoding::Png).unwrap(), &picture, 0);
}

#[test]
fn uniform_color_is_exact_at_every_size() {
    let picture: DynamicImage = RgbImage::from_pixel(97, 61, Rgb([200, 100, 50])).into();
    let original = bytes(&picture, ImageFormat::Png);
    for side in [1, 2, 3, 7, 30, 60] {
        let made = make(&original, fit(side, side), Encoding::Png).unwrap().to_rgb8();
        assert!(made.pixels().all(|pixel| pixel.0 == [200, 100, 50]), "{side}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

#[test]
fn smart_crop_covers_the_salient_area_in_all_orientations() {
    // A checkered square at the right end of a uniform image.
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
    // Stored rotated: EXIF 6 rotates the stored image clockwise.
    let original = with_orientation(&bytes(&picture.rotate270(), ImageFormat::Jpeg), 6);
    let turned = make(&original, smart, Encoding::Png).unwrap();
    assert!(detail(&turned) > 1200, "{}", detail(&turned));
}

#[test]
fn animated_png_renders_its_default_image() {
    // An acTL chunk after the header makes the file an animation whose first frame is the default image.
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
fn webp_at_quality_100_is_lossless() {
    let picture = gradient(64, 48);
    let original = bytes(&picture, ImageFormat::Png);
    alike(&make(&original, fit(64, 48), Encoding::WebP(Quality::new(100).unwrap())).unwrap(), &picture, 0);
}

#[cfg(feature = "avif")]
#[test]
fn avif_grows_with_quality_and_is_deterministic() {
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
