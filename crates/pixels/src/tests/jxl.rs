//! JPEG XL variants, decoded by `jxl`.

use moxcms::ColorProfile;

use super::*;
use crate::decoders::decode;
use crate::pixel_image::{DeepPixelImage, ImageShape, PixelImage, PixelLayout, PixelShape};
use crate::sandbox::{DecodeRequest, SandboxFormat, SandboxImage};

fn jxl(quality: u8) -> Encoding {
    Encoding::Jxl(Quality::new(quality).unwrap())
}

/// Renders a PNG as JPEG XL of the same size.
fn made(original: &[u8], quality: u8) -> Vec<u8> {
    let header = Header::read(original, &LIMITS).unwrap();
    let size = fit(header.info.width, header.info.height);
    let made = render(original, &header, size, jxl(quality), &LIMITS).unwrap();
    assert_eq!(sniff(&made), Some("image/jxl"));
    let again = Header::read(&made, &LIMITS).unwrap();
    assert_eq!((again.info.width, again.info.height), (header.info.width, header.info.height));
    made
}

fn shape(file: &[u8], layout: PixelLayout) -> PixelShape {
    let header = Header::read(file, &LIMITS).unwrap();
    PixelShape { width: header.info.width, height: header.info.height, layout }
}

fn pixels(file: &[u8], layout: PixelLayout) -> PixelImage {
    let shape = ImageShape::Pixels(shape(file, layout));
    match decode(&DecodeRequest { format: SandboxFormat::JpegXl, bytes: file, shape }).unwrap().into_image() {
        SandboxImage::Pixels(image) => image,
        other => panic!("{other:?}"),
    }
}

fn deep_pixels(file: &[u8], layout: PixelLayout) -> DeepPixelImage {
    let shape = ImageShape::DeepPixels(shape(file, layout));
    match decode(&DecodeRequest { format: SandboxFormat::JpegXl, bytes: file, shape }).unwrap().into_image() {
        SandboxImage::DeepPixels(image) => image,
        other => panic!("{other:?}"),
    }
}

/// The mean and the largest difference.
fn differences(made: &[u8], expected: &[u8]) -> (f64, u8) {
    assert_eq!(made.len(), expected.len());
    let all = || made.iter().zip(expected).map(|(made, expected)| made.abs_diff(*expected));
    (all().map(f64::from).sum::<f64>() / made.len() as f64, all().max().unwrap())
}

/// A gradient with some texture, in each layout.
fn pictures() -> [(DynamicImage, PixelLayout); 4] {
    let color = |x: u32, y: u32| [(x * 3 + (x * y) % 7) as u8, (y * 4) as u8, ((x + y) * 2) as u8];
    let alpha = |x: u32, y: u32| (40 + x + y) as u8;
    let rgb = RgbImage::from_fn(70, 50, |x, y| Rgb(color(x, y)));
    let rgba = RgbaImage::from_fn(70, 50, |x, y| {
        let [r, g, b] = color(x, y);
        Rgba([r, g, b, alpha(x, y)])
    });
    let gray = GrayImage::from_fn(70, 50, |x, y| Luma([color(x, y)[0]]));
    let gray_alpha = image::GrayAlphaImage::from_fn(70, 50, |x, y| image::LumaA([color(x, y)[0], alpha(x, y)]));
    [
        (gray.into(), PixelLayout::Gray),
        (gray_alpha.into(), PixelLayout::GrayAlpha),
        (rgb.into(), PixelLayout::Rgb),
        (rgba.into(), PixelLayout::Rgba),
    ]
}

#[test]
fn every_layout_is_kept_and_quality_100_is_exact() {
    for (picture, layout) in pictures() {
        let original = bytes(&picture, ImageFormat::Png);
        let lossless = pixels(&made(&original, 100), layout);
        assert_eq!((lossless.profile, lossless.data.as_slice()), (None, picture.as_bytes()), "{layout:?}");
        let lossy = made(&original, 90);
        let (mean, largest) = differences(&pixels(&lossy, layout).data, picture.as_bytes());
        assert!(mean < 3.0 && largest < 60, "{layout:?} {mean} {largest}");
    }
}

#[test]
fn files_grow_with_quality_and_are_deterministic() {
    let (picture, _) = &pictures()[2];
    let original = bytes(picture, ImageFormat::Png);
    let sizes: Vec<usize> = [10, 50, 80, 95].map(|quality| made(&original, quality).len()).into();
    assert!(sizes.is_sorted_by(|a, b| a < b), "{sizes:?}");
    assert_eq!(made(&original, 80), made(&original, 80));
}

#[test]
fn opaque_alpha_is_left_out() {
    let (picture, _) = &pictures()[2];
    let [with, without] = [picture.to_rgba8().into(), picture.to_rgb8().into()]
        .map(|picture: DynamicImage| made(&bytes(&picture, ImageFormat::Png), 80));
    assert_eq!(with, without);
}

#[test]
fn drawings_are_lossless_where_that_is_smaller() {
    let color = |x, y| if (x / 20 + y / 20) % 2 == 0 { [200, 30, 40] } else { [250, 250, 240] };
    let drawing: DynamicImage = RgbImage::from_fn(200, 160, |x, y| Rgb(color(x, y))).into();
    let file = made(&bytes(&drawing, ImageFormat::Png), 60);
    assert_eq!(pixels(&file, PixelLayout::Rgb).data, drawing.as_bytes());
}

#[test]
fn display_p3_is_stated_and_its_colors_are_kept() {
    let mut original = Vec::new();
    let mut encoder = PngEncoder::new(&mut original);
    encoder.set_icc_profile(ColorProfile::new_display_p3().encode().unwrap()).unwrap();
    RgbImage::from_pixel(32, 32, Rgb([255, 0, 0])).write_with_encoder(encoder).unwrap();
    for quality in [80, 100] {
        let image = pixels(&made(&original, quality), PixelLayout::Rgb);
        let profile = ColorProfile::new_from_slice(&image.profile.expect("not sRGB")).unwrap();
        let expected = ColorProfile::new_display_p3();
        assert!((profile.red_colorant.x - expected.red_colorant.x).abs() < 1e-3);
        let (_, largest) = differences(&image.data, &[255, 0, 0].repeat(32 * 32));
        assert!(largest <= 6, "{largest}");
    }
}

#[test]
fn more_than_8_bits_are_kept() {
    let level = |x: u32, y: u32| u16::try_from((x * 100 + y) * 8).unwrap();
    let deep = image::ImageBuffer::from_fn(64, 64, |x, y| image::Rgb([level(x, y), level(y, x), 30_000]));
    let original = bytes(&DynamicImage::ImageRgb16(deep.clone()), ImageFormat::Png);
    let exact = deep_pixels(&made(&original, 100), PixelLayout::Rgb);
    assert_eq!(&exact.data, deep.as_raw());
    let lossy = deep_pixels(&made(&original, 95), PixelLayout::Rgb);
    let off = lossy.data.iter().zip(deep.as_raw()).map(|(made, from)| f64::from(made.abs_diff(*from)));
    let mean = off.sum::<f64>() / lossy.data.len() as f64;
    assert!(mean < 1.5 * 257.0, "{mean}");
    assert!(lossy.data.iter().any(|sample| sample % 257 != 0), "the samples have 8 bits only");
}

#[test]
fn an_animated_original_gives_its_first_frame() {
    let mut gif = Vec::new();
    let mut encoder = gif::Encoder::new(&mut gif, 8, 8, &[10, 20, 30, 255, 0, 0]).unwrap();
    for color in [0, 1] {
        let frame = gif::Frame { width: 8, height: 8, buffer: vec![color; 64].into(), ..gif::Frame::default() };
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    let image = pixels(&made(&gif, 100), PixelLayout::Rgb);
    assert_eq!(image.data, [10, 20, 30].repeat(64));
}
