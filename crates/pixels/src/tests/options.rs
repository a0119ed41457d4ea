//! Encoder options.

use super::*;

/// Renders a variant of 32 x 24 pixels with the given options.
fn render_with(original: &[u8], encoding: Encoding, encode: EncodeOptions) -> Vec<u8> {
    let limits = Limits { encode, ..LIMITS };
    let header = Header::read(original, &limits).unwrap();
    render(original, &header, fit(32, 24), encoding, &limits).unwrap()
}

#[test]
fn jpeg_progressive_option_makes_progressive_jpegs() {
    let original = bytes(&gradient(64, 48), ImageFormat::Jpeg);
    let made = |jpeg_progressive| {
        render_with(&original, jpeg_q90(), EncodeOptions { jpeg_progressive, ..EncodeOptions::default() })
    };
    let is_progressive = |jpeg: &[u8]| jpeg.windows(2).any(|marker| marker == [0xFF, 0xC2]);
    let (plain, progressive) = (made(false), made(true));
    assert!(!is_progressive(&plain) && is_progressive(&progressive));
    alike(&image::load_from_memory(&plain).unwrap(), &image::load_from_memory(&progressive).unwrap(), 16);
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
