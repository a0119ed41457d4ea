//! Compares the pixels with those of libwebp and image-webp.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use vp8l::{Header, Limits, Options, Pixel, decode, decode_headerless};

mod support;
use support::{
    Random, Rgba, decode_with_image_webp, decode_with_libwebp, encode, photograph, random_image, random_settings,
    vp8l_chunk,
};

fn decode_pixels(stream: &[u8]) -> Vec<Pixel> {
    let header = Header::read(stream, &Limits::default()).unwrap();
    decode(stream, &header, &Options::default()).unwrap()
}

#[track_caller]
fn check(image: &Rgba, config: &libwebp_sys::WebPConfig, case: &str) {
    let file = encode(image, config);
    let pixels = decode_pixels(vp8l_chunk(&file));
    assert_eq!(pixels.len(), image.pixels.len());
    let first_difference = |other: &[Pixel]| {
        pixels.iter().zip(other).position(|(a, b)| a != b).map(|n| (n % image.width, n / image.width))
    };
    assert_eq!(first_difference(&decode_with_libwebp(&file).unwrap()), None, "{case}, libwebp");
    assert_eq!(first_difference(&decode_with_image_webp(&file).unwrap()), None, "{case}, image-webp");
    if config.exact == 1 {
        assert_eq!(first_difference(&image.pixels), None, "{case}, original");
    }
}

/// Number of random images to compare, which the environment variable CASES overrides.
fn cases() -> usize {
    std::env::var("CASES").map_or(600, |cases| cases.parse().unwrap())
}

#[test]
fn pixels_equal_those_of_libwebp_and_image_webp() {
    let (mut random, photograph) = (Random(7), photograph());
    for case in 0..cases() {
        let image = random_image(&mut random, &photograph, if case % 4 == 0 { 17 } else { 90 });
        let config = random_settings(&mut random);
        check(&image, &config, &format!("case {case}: {}x{}, {config:?}", image.width, image.height));
    }
}

#[test]
fn a_photograph_with_many_groups_equals_the_original() {
    let photograph = photograph();
    let mut config = random_settings(&mut Random(1));
    (config.quality, config.method, config.exact) = (100.0, 4, 1);
    check(&photograph, &config, "photograph");
}

#[test]
fn palettes_of_all_sizes_and_widths_equal_the_original() {
    let mut config = random_settings(&mut Random(3));
    config.exact = 1;
    for colors in [1, 2, 3, 4, 5, 16, 17, 256] {
        for width in 1..=18 {
            let color = |n: usize| [(n % colors) as u8, (n % colors * 7) as u8, 9, 255 - (n % colors) as u8];
            let pixels = (0..width * 9).map(|n| color(n * n / 3)).collect();
            check(&Rgba { width, height: 9, pixels }, &config, &format!("{colors} colors, {width} wide"));
        }
    }
}

#[test]
fn a_stream_without_header_has_the_same_pixels() {
    let (mut random, photograph) = (Random(11), photograph());
    let image = random_image(&mut random, &photograph, 50);
    let file = encode(&image, &random_settings(&mut random));
    let stream = vp8l_chunk(&file);
    let size = (image.width as u32, image.height as u32);
    let pixels = decode_headerless(&stream[5..], size.0, size.1, &Options::default()).unwrap();
    assert!(pixels == decode_pixels(stream));
}
