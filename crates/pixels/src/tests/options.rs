//! Encoder options.

use super::*;

/// Renders a variant of 32 x 24 pixels with the given options.
fn render_with(original: &[u8], encoding: Encoding, encode: EncodeOptions) -> Vec<u8> {
    let limits = Limits { encode, ..LIMITS };
    let header = Header::read(original, &limits).unwrap();
    render(original, &header, fit(32, 24), encoding, &limits).unwrap()
}

#[test]
fn jpeg_progressive_and_jpeg_effort_options_make_jpegs_smaller() {
    // Soft spots and noise, as in a photograph.
    let picture = RgbImage::from_fn(640, 480, |x, y| {
        let wave = |n: u32| ((f64::from(n) / 37.0).sin() * 60.0 + 128.0) as u8;
        let noise = ((x * 7919 + y * 104_729).wrapping_mul(2_654_435_761) >> 28) as u8;
        Rgb([wave(x + y) + noise, wave(x) + noise, wave(2 * y) + noise])
    });
    let original = bytes(&picture.into(), ImageFormat::Png);
    // A large variant is encoded from planes, a small one from pixels.
    for (width, height) in [(600, 450), (300, 225)] {
        let made = |jpeg_progressive, jpeg_effort| {
            let encode = EncodeOptions { jpeg_progressive, jpeg_effort, ..EncodeOptions::default() };
            let limits = Limits { encode, ..LIMITS };
            let header = Header::read(&original, &limits).unwrap();
            render(&original, &header, fit(width, height), jpeg_q90(), &limits).unwrap()
        };
        let plain = made(false, JpegEffort::Fast);
        let (progressive, small) = (made(true, JpegEffort::Fast), made(false, JpegEffort::Small));
        let sizes = [&plain, &progressive, &small].map(Vec::len);
        assert!(sizes[0] > sizes[1] && sizes[1] > sizes[2], "{sizes:?}");
        assert_eq!(small, made(true, JpegEffort::Small));
        let is_progressive = [&plain, &progressive].map(|file| file.windows(2).any(|marker| marker == [0xFF, 0xC2]));
        assert_eq!(is_progressive, [false, true]);
        let decoded = [&plain, &progressive, &small].map(|file| image::load_from_memory(file).unwrap());
        assert_eq!(decoded[0], decoded[1], "the same coefficients");
        alike(&decoded[0], &decoded[2], 40);
    }
}

#[test]
fn png_colors_option_limits_the_palette() {
    let clear = RgbaImage::from_fn(64, 48, |x, y| Rgba([(x * 4) as u8, (y * 5) as u8, 90, (x * 4) as u8])).into();
    for (picture, has_alpha) in [(gradient(64, 48), false), (clear, true)] {
        let original = bytes(&picture, ImageFormat::Png);
        for colors in [256, 16] {
            let few = EncodeOptions { png_colors: NonZeroU16::new(colors), ..EncodeOptions::default() };
            let all = render_with(&original, Encoding::Png, EncodeOptions::default());
            let made = render_with(&original, Encoding::Png, few);
            assert!(made.len() < all.len() || colors > 16);
            let decoded = image::load_from_memory(&made).unwrap();
            assert_eq!(decoded.color().has_alpha(), has_alpha);
            let found: std::collections::HashSet<_> = decoded.to_rgba8().pixels().map(|pixel| pixel.0).collect();
            assert!(found.len() <= usize::from(colors), "{}", found.len());
        }
    }
}

#[test]
fn png_efforts_keep_all_pixels_and_more_effort_gives_no_more_bytes() {
    let clear = RgbaImage::from_fn(200, 150, |x, y| Rgba([(x / 20 * 9) as u8, (y / 3) as u8, 90, (x / 9 * 9) as u8]));
    for picture in [gradient(200, 150), clear.into()] {
        let original = bytes(&picture, ImageFormat::Png);
        let made = |png_effort| {
            render_with(&original, Encoding::Png, EncodeOptions { png_effort, ..EncodeOptions::default() })
        };
        let pixels = |png: &[u8]| {
            let visible = |pixel: &Rgba<u8>| if pixel.0[3] == 0 { [0; 4] } else { pixel.0 };
            image::load_from_memory(png).unwrap().to_rgba8().pixels().map(visible).collect::<Vec<_>>()
        };
        let (fast, default) = (made(PngEffort::Fast), made(PngEffort::Default));
        assert!(default.len() <= fast.len(), "{} {}", default.len(), fast.len());
        assert_eq!(pixels(&fast), pixels(&default));
        #[cfg(feature = "png-small")]
        {
            let small = made(PngEffort::Small);
            assert!(small.len() < default.len(), "{} {}", small.len(), default.len());
            assert_eq!(pixels(&small), pixels(&default));
        }
    }
}

#[test]
fn webp_effort_is_the_method_of_libwebp() {
    let original = bytes(&gradient(64, 48), ImageFormat::Png);
    let made = |method| {
        let webp_effort = WebpEffort::new(method).unwrap();
        render_with(
            &original,
            Encoding::WebP(Quality::new(80).unwrap()),
            EncodeOptions { webp_effort, ..EncodeOptions::default() },
        )
    };
    assert_eq!(WebpEffort::new(7), None);
    assert_eq!(made(4), render_with(&original, Encoding::WebP(Quality::new(80).unwrap()), EncodeOptions::default()));
    let files: Vec<_> = [0, 2, 6].map(made).into();
    assert!(files[0] != files[1] && files[1] != files[2]);
    for file in files {
        alike(&image::load_from_memory(&file).unwrap(), &gradient(32, 24), 24);
    }
}

#[test]
fn linear_light_option_preserves_the_light() {
    // Half of the pixels are white. Half of the light is 188 in sRGB.
    let fine: DynamicImage = RgbImage::from_fn(64, 48, |x, y| Rgb([if (x + y) % 2 == 0 { 255 } else { 0 }; 3])).into();
    let original = bytes(&fine, ImageFormat::Png);
    for (linear_light, expected) in [(false, 128), (true, 188)] {
        let made = render_with(&original, Encoding::Png, EncodeOptions { linear_light, ..EncodeOptions::default() });
        let got = image::load_from_memory(&made).unwrap().to_rgb8().get_pixel(16, 12).0;
        assert!(got.iter().all(|sample| sample.abs_diff(expected) <= 2), "{got:?}");
    }
}
