//! Scaling of planes in linear light.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::alpha::{exact, light, near, sample};
use super::*;
use crate::codec::planes::{ColorPlane, ColorPlanes, PlaneColors, Range};
use crate::pixels::{Pixels, Window};
use crate::transform::scale::LANCZOS;

fn linear() -> Limits {
    Limits { encode: EncodeOptions { linear_light: true, ..EncodeOptions::default() }, ..LIMITS }
}

fn made(original: &[u8], geometry: Geometry) -> DynamicImage {
    let header = Header::read(original, &linear()).unwrap();
    assert!(header.planar.is_some());
    image::load_from_memory(&render(original, &header, geometry, Encoding::Png, &linear()).unwrap()).unwrap()
}

/// Stripes and spots of light colors on a dark ground.
fn lights(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| match (x % 7, y % 5) {
        (0 | 1, _) => Rgb([240, 200, 90]),
        (4, 2) => Rgb([120, 190, 250]),
        _ => Rgb([30, 25, 50]),
    })
}

#[test]
fn planes_in_full_resolution_match_double_precision() {
    let picture = lights(150, 120);
    let samples: Vec<[f64; 3]> = picture
        .pixels()
        .map(|pixel| {
            let [r, g, b] = pixel.0.map(f64::from);
            [
                0.299 * r + 0.587 * g + 0.114 * b,
                128.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b,
                128.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b,
            ]
        })
        .collect();
    let plane = |component: usize| ColorPlane {
        component,
        density: (1.0, 1.0),
        max_density: (1.0, 1.0),
        samples: Pixels {
            width: 150,
            height: 120,
            channels: 1,
            data: samples.iter().map(|pixel| pixel[component].round() as u8).collect(),
        },
    };
    let planes = ColorPlanes { colors: PlaneColors::Yuv, range: Range::Full, planes: [0, 1, 2].map(plane).into() };
    let window = Window { x: 0.0, y: 0.0, width: 150.0, height: 120.0 };
    let colors = planes.scale_to_pixels(&window, (nonzero(150), nonzero(120)), LANCZOS).unwrap();
    let colors = DynamicImage::from(RgbImage::from_raw(150, 120, colors.data).unwrap()).to_rgba8();
    for size in [(100, 80), (50, 40), (15, 12)] {
        let made = planes.scale_in_linear_light(&window, (nonzero(size.0), nonzero(size.1))).unwrap();
        let made = RgbImage::from_raw(size.0, size.1, made.data).unwrap();
        near(&DynamicImage::from(made).to_rgba8(), &exact(&colors, size, light, sample), 1.0);
    }
}

#[test]
fn jpeg_keeps_the_light_of_fine_details() {
    // One pixel of four is white. A quarter of the light is 137 in sRGB; the mean of the samples is 64.
    let fine = GrayImage::from_fn(128, 96, |x, y| Luma([if x % 2 == 0 && y % 2 == 0 { 255 } else { 0 }]));
    for (color, channels, sampling) in [
        (ColorType::Luma, 1, SamplingFactor::R_4_4_4),
        (ColorType::Rgb, 3, SamplingFactor::R_4_4_4),
        (ColorType::Rgb, 3, SamplingFactor::R_4_2_0),
        (ColorType::Rgb, 3, SamplingFactor::R_4_1_1),
    ] {
        let data: Vec<u8> = fine.iter().flat_map(|sample| std::iter::repeat_n(*sample, channels)).collect();
        let mut original = Vec::new();
        let mut encoder = Encoder::new(&mut original, 98);
        encoder.set_sampling_factor(sampling);
        encoder.encode(&data, 128, 96, color).unwrap();
        let made = made(&original, fit(64, 64)).to_rgb8();
        let [r, g, b] = made.get_pixel(30, 20).0;
        assert!([r, g, b].iter().all(|sample| sample.abs_diff(137) <= 3), "{sampling:?}: {r}, {g}, {b}");
    }
}

#[test]
fn lossy_webp_keeps_the_light_of_fine_details() {
    // Half of the light is 188 in sRGB.
    let fine: DynamicImage = RgbImage::from_fn(64, 48, |x, y| Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3])).into();
    let png = bytes(&fine, ImageFormat::Png);
    let header = Header::read(&png, &LIMITS).unwrap();
    let original = render(&png, &header, fit(64, 48), webp_q90(), &LIMITS).unwrap();
    let made = made(&original, fit(32, 24)).to_rgb8();
    let got = made.get_pixel(16, 12).0;
    assert!(got.iter().all(|sample| sample.abs_diff(188) <= 6), "{got:?}");
}

#[test]
fn jpeg_of_the_same_size_keeps_its_pixels() {
    let original = bytes(&gradient(120, 80), ImageFormat::Jpeg);
    let header = Header::read(&original, &LIMITS).unwrap();
    let gamma = render(&original, &header, fit(120, 80), Encoding::Png, &LIMITS).unwrap();
    alike(&made(&original, fit(120, 80)), &image::load_from_memory(&gamma).unwrap(), 0);
}

#[test]
fn crops_of_a_turned_jpeg_match_those_of_its_upright_copy() {
    let upright = gradient(160, 120);
    let stored = bytes(&upright.rotate270(), ImageFormat::Jpeg);
    let turned = with_orientation(&stored, 6);
    for region in [Region::Center, Region::Right, Region::Smart] {
        let geometry = Geometry::Crop { width: nonzero(31), height: nonzero(17), region };
        let (turned, upright) = (made(&turned, geometry), made(&bytes(&upright, ImageFormat::Jpeg), geometry));
        if region != Region::Smart {
            alike(&turned, &upright, 4);
        }
    }
}
