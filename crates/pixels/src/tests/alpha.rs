//! Scaling with alpha, compared to a reference in double precision.

use image::{GrayAlphaImage, LumaA};

use super::*;

/// Lanczos with three lobes and premultiplied alpha, as one sum over both dimensions. `light` converts a sample of 0 to
/// 1 to the value that is averaged, and `sample` is its inverse.
pub(super) fn exact(
    picture: &RgbaImage,
    (width, height): (u32, u32),
    light: fn(f64) -> f64,
    sample: fn(f64) -> f64,
) -> Vec<[f64; 4]> {
    let weights = |length: u32, target: u32, n: u32| -> Vec<(u32, f64)> {
        let scale = f64::from(length) / f64::from(target);
        let sinc = |x: f64| if x == 0.0 { 1.0 } else { (x * std::f64::consts::PI).sin() / (x * std::f64::consts::PI) };
        let center = (f64::from(n) + 0.5) * scale;
        let kernel = |x: f64| if x.abs() < 3.0 { sinc(x) * sinc(x / 3.0) } else { 0.0 };
        let weights: Vec<_> = (0..length).map(|x| (x, kernel((f64::from(x) + 0.5 - center) / scale))).collect();
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        weights.into_iter().filter(|(_, weight)| *weight != 0.0).map(|(x, weight)| (x, weight / sum)).collect()
    };
    let across: Vec<_> = (0..width).map(|x| weights(picture.width(), width, x)).collect();
    let mean = |y: u32| {
        let down = weights(picture.height(), height, y);
        across
            .iter()
            .map(move |across| {
                let mut sums = [0.0; 4];
                for ((x, a), (y, b)) in across.iter().flat_map(|a| down.iter().map(move |b| (a, b))) {
                    let [r, g, b_, alpha] = picture.get_pixel(*x, *y).0.map(|sample| f64::from(sample) / 255.0);
                    for (sum, term) in
                        sums.iter_mut().zip([light(r) * alpha, light(g) * alpha, light(b_) * alpha, alpha])
                    {
                        *sum += term * a * b;
                    }
                }
                let [r, g, b, alpha] = sums;
                [r, g, b]
                    .map(|color| sample((color / alpha).clamp(0.0, 1.0)) * 255.0)
                    .into_iter()
                    .chain([alpha * 255.0])
                    .collect::<Vec<_>>()
                    .try_into()
                    .unwrap()
            })
            .collect::<Vec<[f64; 4]>>()
    };
    (0..height).flat_map(mean).collect()
}

/// Smooth colors with a smooth low alpha.
fn nearly_transparent(width: u32, height: u32) -> RgbaImage {
    let wave = |n: u32, period: f64| (f64::from(n) / period).sin();
    let sample = |middle: f64, wave: f64, height: f64| (middle + height * wave).round() as u8;
    RgbaImage::from_fn(width, height, |x, y| {
        let colors = [
            sample(128.0, wave(x, 17.0), 100.0),
            sample(100.0, wave(y, 11.0), 90.0),
            sample(150.0, wave(x + y, 23.0), 100.0),
        ];
        let [r, g, b] = colors;
        Rgba([r, g, b, sample(12.0, wave(x + 2 * y, 29.0), 6.0)])
    })
}

fn made(picture: &DynamicImage, (width, height): (u32, u32), linear_light: bool) -> DynamicImage {
    let original = bytes(picture, ImageFormat::Png);
    let limits = Limits { encode: EncodeOptions { linear_light, ..EncodeOptions::default() }, ..LIMITS };
    let header = Header::read(&original, &limits).unwrap();
    let geometry = Geometry::Fit { width: Some(nonzero(width)), height: Some(nonzero(height)) };
    let made = render(&original, &header, geometry, Encoding::Png, &limits).unwrap();
    image::load_from_memory(&made).unwrap()
}

#[track_caller]
pub(super) fn near(made: &RgbaImage, exact: &[[f64; 4]], tolerance: f64) {
    assert_eq!(made.pixels().len(), exact.len());
    for ((x, y, pixel), exact) in made.enumerate_pixels().zip(exact) {
        let off = pixel.0.iter().zip(exact).map(|(made, exact)| (f64::from(*made) - exact).abs()).fold(0.0, f64::max);
        assert!(off <= tolerance, "{pixel:?} at {x}, {y} should be {exact:?}");
    }
}

#[test]
fn nearly_transparent_colors_match_double_precision() {
    let picture = nearly_transparent(150, 120);
    for size in [(100, 80), (50, 40), (15, 12)] {
        let exact = exact(&picture, size, |sample| sample, |sample| sample);
        near(&made(&picture.clone().into(), size, false).to_rgba8(), &exact, 1.0);
    }
}

/// The transfer function of sRGB (IEC 61966-2-1).
pub(super) fn light(sample: f64) -> f64 {
    if sample <= 0.04045 { sample / 12.92 } else { ((sample + 0.055) / 1.055).powf(2.4) }
}

/// The inverse of [`light`].
pub(super) fn sample(light: f64) -> f64 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

#[test]
fn linear_light_matches_double_precision() {
    let picture = nearly_transparent(150, 120);
    let exact = exact(&picture, (50, 40), light, sample);
    near(&made(&picture.clone().into(), (50, 40), true).to_rgba8(), &exact, 1.0);
    let opaque = DynamicImage::from(picture).to_rgb8();
    let exact = self::exact(&DynamicImage::from(opaque.clone()).to_rgba8(), (50, 40), light, sample);
    near(&made(&opaque.into(), (50, 40), true).to_rgba8(), &exact, 1.0);
}

#[test]
fn gray_with_alpha_matches_double_precision() {
    let colors = nearly_transparent(150, 120);
    let gray = GrayAlphaImage::from_fn(150, 120, |x, y| {
        let [r, .., alpha] = colors.get_pixel(x, y).0;
        LumaA([r, alpha])
    });
    let gray = DynamicImage::from(gray);
    let exact = exact(&gray.to_rgba8(), (50, 40), |sample| sample, |sample| sample);
    let made = made(&gray, (50, 40), false);
    assert_eq!(made.color(), image::ColorType::La8);
    near(&made.to_rgba8(), &exact, 1.0);
}

#[test]
fn opaque_images_with_an_alpha_channel_stay_opaque() {
    // Noise, so that all sums differ.
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let opaque = RgbImage::from_fn(131, 97, |_, _| Rgb([noise(), noise(), noise()]));
    let with_alpha = DynamicImage::from(DynamicImage::from(opaque.clone()).to_rgba8());
    for linear_light in [false, true] {
        for size in [(130, 96), (77, 57), (40, 30), (3, 2), (1, 1)] {
            let made = made(&with_alpha, size, linear_light).to_rgba8();
            assert!(made.pixels().all(|pixel| pixel.0[3] == 255), "{size:?}");
        }
    }
    let exact = exact(&with_alpha.to_rgba8(), (40, 30), |sample| sample, |sample| sample);
    near(&made(&with_alpha, (40, 30), false).to_rgba8(), &exact, 1.0);
}

#[test]
fn transparent_pixels_do_not_color_edges() {
    // Visible red stripes and dots next to transparent green.
    let picture = RgbaImage::from_fn(160, 120, |x, y| {
        if (x / 7 + y / 5) % 3 == 0 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 255, 0, 0]) }
    });
    for linear_light in [false, true] {
        let made = made(&picture.clone().into(), (61, 46), linear_light).to_rgba8();
        for pixel in made.pixels() {
            let expected = if pixel.0[3] == 0 { [0, 0, 0] } else { [255, 0, 0] };
            assert_eq!(pixel.0[..3], expected, "{pixel:?}");
        }
    }
}

#[test]
fn crop_may_start_between_two_pixels() {
    // The centered square of an image with an odd width starts between two pixels.
    let picture = RgbaImage::from_fn(301, 100, |x, _| Rgba([(x / 2) as u8, 60, 200, 255]));
    let original = bytes(&picture.into(), ImageFormat::Png);
    for (region, first) in [(Region::Left, 0.0), (Region::Center, 100.5), (Region::Right, 201.0)] {
        let geometry = Geometry::Crop { width: nonzero(30), height: nonzero(30), region };
        let made = make(&original, geometry, Encoding::Png).unwrap().to_rgba8();
        assert_eq!(made.dimensions(), (30, 30));
        for x in 3..27 {
            // The value at the center of the pixel; the gradient has a slope of 1/2.
            let expected = (first + (f64::from(x) + 0.5) * 100.0 / 30.0) / 2.0 - 0.5;
            let off = (f64::from(made.get_pixel(x, 15).0[0]) - expected).abs();
            assert!(off <= 1.0, "{region:?} {x}: {:?} should be {expected}", made.get_pixel(x, 15));
        }
    }
}

#[test]
fn lossless_webp_with_alpha_is_transparent_even_if_its_container_states_no_alpha() {
    let picture = RgbaImage::from_fn(8, 8, |x, _| Rgba([200, 100, 50, if x < 4 { 0 } else { 255 }]));
    let simple = bytes(&picture.into(), ImageFormat::WebP);
    let header = b"VP8X\x0A\0\0\0\0\0\0\0\x07\0\0\x07\0\0";
    let length = u32::try_from(simple.len() - 8 + header.len()).unwrap().to_le_bytes();
    let extended = [&b"RIFF"[..], &length, b"WEBP", header, &simple[12..]].concat();
    let made = make(&extended, fit(8, 8), Encoding::Png).unwrap().to_rgba8();
    assert_eq!((made.get_pixel(0, 0).0[3], made.get_pixel(7, 0).0[3]), (0, 255));
}
