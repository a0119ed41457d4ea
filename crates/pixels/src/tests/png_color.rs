//! Color chunks of PNG: cICP, iCCP, sRGB, gAMA and cHRM. Expected values are computed from the specifications.

use super::*;

/// The position after IHDR, which has 13 bytes.
const AFTER_HEADER: usize = 33;

fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let checksum = crc32fast::hash(&[name, data].concat());
    let length = u32::try_from(data.len()).unwrap();
    [&length.to_be_bytes(), &name[..], data, &checksum.to_be_bytes()].concat()
}

/// Inserts a chunk before all others except IHDR.
fn with_chunk(png: &[u8], name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    [&png[..AFTER_HEADER], &chunk(name, data), &png[AFTER_HEADER..]].concat()
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn plain(color: [u8; 3]) -> Vec<u8> {
    bytes(&RgbImage::from_pixel(8, 8, Rgb(color)).into(), ImageFormat::Png)
}

fn plain16(color: [u16; 3]) -> Vec<u8> {
    bytes(&DynamicImage::ImageRgb16(image::ImageBuffer::from_pixel(8, 8, Rgb(color))), ImageFormat::Png)
}

/// A pixel of the variant with the size of the original, and of a smaller one.
fn made(png: &[u8]) -> [[u8; 4]; 2] {
    let limits = Limits { encode: EncodeOptions { color: ColorPolicy::Srgb, ..LIMITS.encode }, ..LIMITS };
    let header = Header::read(png, &limits).unwrap();
    [8, 4].map(|side| {
        let made = render(png, &header, fit(side, side), Encoding::Png, &limits).unwrap();
        image::load_from_memory(&made).unwrap().to_rgba8().get_pixel(1, 1).0
    })
}

#[track_caller]
fn shows(png: &[u8], expected: [u8; 3], tolerance: u8) {
    for made in made(png) {
        let off = made.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(off <= tolerance, "{made:?} should be {expected:?}");
    }
}

/// The sRGB sample of linear light (IEC 61966-2-1).
fn srgb(light: f64) -> u8 {
    let light = light.clamp(0.0, 1.0);
    let sample = if light <= 0.003_130_8 { 12.92 * light } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 };
    (255.0 * sample).round() as u8
}

#[test]
fn gamma_of_a_png_is_honored_in_every_color_type() {
    let alpha = |color: [u8; 3], alpha| Rgba([color[0], color[1], color[2], alpha]);
    for gamma in [100_000_u32, 45_455, 55_556, 31_250] {
        let expected = |sample: f64| srgb(sample.powf(100_000.0 / f64::from(gamma)));
        let png = |picture: DynamicImage| with_chunk(&bytes(&picture, ImageFormat::Png), b"gAMA", &numbers(&[gamma]));
        let color = [30, 100, 200];
        let colors = color.map(|sample| expected(f64::from(sample) / 255.0));
        shows(&png(RgbImage::from_pixel(8, 8, Rgb(color)).into()), colors, 1);
        shows(&png(RgbaImage::from_pixel(8, 8, alpha(color, 77)).into()), colors, 2);
        assert_eq!(made(&png(RgbaImage::from_pixel(8, 8, alpha(color, 77)).into()))[0][3], 77);
        shows(&png(GrayImage::from_pixel(8, 8, Luma([100])).into()), [colors[1]; 3], 1);
        let gray16 = image::ImageBuffer::from_pixel(8, 8, Luma([700_u16]));
        shows(&png(DynamicImage::ImageLuma16(gray16)), [expected(700.0 / 65_535.0); 3], 1);
        let color16 = [300_u16, 1000, 40_000];
        let colors16 = color16.map(|sample| expected(f64::from(sample) / 65_535.0));
        shows(&with_chunk(&plain16(color16), b"gAMA", &numbers(&[gamma])), colors16, 1);
        let rgba16 = image::ImageBuffer::from_pixel(8, 8, Rgba([300_u16, 1000, 40_000, 30_000]));
        let clear16 = png(DynamicImage::ImageRgba16(rgba16));
        assert!(made(&clear16)[0].iter().zip(colors16).all(|(made, color)| made.abs_diff(color) <= 1));
        assert_eq!(made(&clear16)[0][3], 117);
        let mut palette = Vec::new();
        let mut encoder = png::Encoder::new(&mut palette, 8, 8);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(color.to_vec());
        encoder.write_header().unwrap().write_image_data(&[0; 64]).unwrap();
        shows(&with_chunk(&palette, b"gAMA", &numbers(&[gamma])), colors, 1);
        // The chunk has no meaning after the palette.
        let at = palette.windows(4).position(|name| name == b"IDAT").unwrap() - 4;
        let late = [&palette[..at], &chunk(b"gAMA", &numbers(&[gamma])), &palette[at..]].concat();
        shows(&late, color, 0);
    }
}

#[test]
fn chromaticities_of_a_png_are_honored() {
    let adobe_rgb = numbers(&[31_270, 32_900, 64_000, 33_000, 21_000, 71_000, 15_000, 6_000]);
    let png = with_chunk(&plain([200, 100, 50]), b"cHRM", &adobe_rgb);
    // Adobe RGB (1998): the gamma is 563/256. The value was computed from the specification in double precision.
    shows(&with_chunk(&png, b"gAMA", &numbers(&[45_472])), [227, 100, 42], 1);
    let png16 = with_chunk(&plain16([51_400, 25_700, 12_850]), b"cHRM", &adobe_rgb);
    shows(&with_chunk(&png16, b"gAMA", &numbers(&[45_472])), [227, 100, 42], 1);
    // Without a gamma, the curve is that of sRGB.
    let p3 = numbers(&[31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000]);
    shows(&with_chunk(&plain([200, 100, 50]), b"cHRM", &p3), [215, 93, 31], 1);
    let srgb = numbers(&[31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000]);
    shows(&with_chunk(&plain([200, 100, 50]), b"cHRM", &srgb), [200, 100, 50], 0);
    // Gray is gray with every white point.
    let warm = numbers(&[34_567, 35_850, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000]);
    shows(&with_chunk(&plain([120; 3]), b"cHRM", &warm), [120; 3], 1);
}

#[test]
fn code_points_of_a_png_are_honored() {
    let with = |png: &[u8], code_points: [u8; 4]| with_chunk(png, b"cICP", &code_points);
    shows(&with(&plain([200, 100, 50]), [12, 13, 0, 1]), [215, 93, 31], 1);
    shows(&with(&plain16([51_400, 25_700, 12_850]), [12, 13, 0, 1]), [215, 93, 31], 1);
    // BT.2020 in SDR, with the inverse of the transfer function (ITU-R BT.2020, table 4) and of the matrix (BT.2087).
    let color = [150_u8, 120, 90];
    let light = color.map(|sample| {
        let sample = f64::from(sample) / 255.0;
        if sample < 0.081_243 { sample / 4.5 } else { ((sample + 0.099_297) / 1.099_297).powf(1.0 / 0.45) }
    });
    let row = |weights: [f64; 3]| srgb(weights.iter().zip(light).map(|(weight, light)| weight * light).sum());
    let expected = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]].map(row);
    shows(&with(&plain(color), [9, 14, 0, 1]), expected, 1);
    shows(&with(&plain16(color.map(|sample| u16::from(sample) * 257)), [9, 1, 0, 1]), expected, 1);
    // Narrow range: 16 is black and 235 is white.
    for (sample, expected) in [(16, 0), (235, 255), (0, 0), (255, 255), (126, 128)] {
        shows(&with(&plain([sample; 3]), [1, 13, 0, 0]), [expected; 3], 1);
        shows(&with(&plain16([u16::from(sample) * 256; 3]), [1, 13, 0, 0]), [expected; 3], 1);
    }
    // A tenth of the reference white of 203 cd/m2 is 0.1 in linear light: a PQ sample of 0.3555 (SMPTE ST 2084).
    let root = (20.3_f64 / 10_000.0).powf(0.159_301_757_812_5);
    let pq = ((0.835_937_5 + 18.851_562_5 * root) / (1.0 + 18.6875 * root)).powf(78.843_75);
    let gray16 = image::ImageBuffer::from_pixel(8, 8, Luma([(pq * 65_535.0).round() as u16]));
    let gray16 = bytes(&DynamicImage::ImageLuma16(gray16), ImageFormat::Png);
    shows(&with(&gray16, [9, 16, 0, 1]), [srgb(0.1); 3], 1);
    shows(&with(&plain16([(pq * 65_535.0).round() as u16; 3]), [9, 16, 0, 1]), [srgb(0.1); 3], 1);
    // 75 % in HLG is the reference white, which is compressed a little (ITU-R BT.2408).
    let [white, _] = made(&with(&plain16([49_151; 3]), [9, 18, 0, 1]));
    assert!((225..=245).contains(&white[0]), "{white:?}");
}

#[test]
fn first_valid_description_of_the_colors_of_a_png_applies() {
    let mut profile = Vec::new();
    let mut encoder = PngEncoder::new(&mut profile);
    encoder.set_icc_profile(ColorProfile::new_display_p3().encode().unwrap()).unwrap();
    RgbImage::from_pixel(8, 8, Rgb([200, 100, 50])).write_with_encoder(encoder).unwrap();
    let (color, p3) = ([200, 100, 50], [215, 93, 31]);
    let linear = numbers(&[100_000]);
    let gamma = with_chunk(&plain(color), b"gAMA", &linear);
    shows(&with_chunk(&profile, b"cICP", &[1, 13, 0, 1]), color, 0);
    shows(&with_chunk(&with_chunk(&profile, b"sRGB", &[0]), b"gAMA", &linear), p3, 1);
    shows(&with_chunk(&gamma, b"sRGB", &[0]), color, 0);
    shows(&with_chunk(&with_chunk(&gamma, b"sRGB", &[0]), b"cICP", &[12, 13, 0, 1]), p3, 1);
    // Invalid chunks do not count: unspecified and unknown code points, an extreme gamma, and primaries in one point.
    for cicp in [[2, 13, 0, 1], [12, 2, 0, 1], [12, 99, 0, 1]] {
        shows(&with_chunk(&plain(color), b"cICP", &cicp), color, 0);
    }
    shows(&with_chunk(&plain(color), b"gAMA", &numbers(&[1])), color, 0);
    let point = numbers(&[31_270, 32_900, 30_000, 30_000, 30_000, 30_000, 30_000, 30_000]);
    for chromaticities in [numbers(&[0; 8]), numbers(&[u32::MAX; 8]), point] {
        shows(&with_chunk(&plain(color), b"cHRM", &chromaticities), color, 0);
    }
    // A chunk with a wrong checksum does not count either.
    let mut damaged = gamma.clone();
    damaged[AFTER_HEADER + 12] ^= 1;
    shows(&damaged, color, 0);
}
