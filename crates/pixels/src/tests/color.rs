//! Color conversion: ICC profiles and CMYK.

use super::*;

/// A PNG with an ICC profile.
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

/// A PNG variant in sRGB.
fn srgb_variant(original: &[u8], geometry: Geometry) -> Vec<u8> {
    let limits = Limits { encode: EncodeOptions { color: ColorPolicy::Srgb, ..LIMITS.encode }, ..LIMITS };
    let header = Header::read(original, &limits).unwrap();
    render(original, &header, geometry, Encoding::Png, &limits).unwrap()
}

#[test]
fn wide_gamut_colors_convert_to_known_srgb_values() {
    // Computed in double precision from the primaries and transfer functions in the specifications.
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
            let made = image::load_from_memory(&srgb_variant(&original, fit(side, side))).unwrap().to_rgb8();
            let got = made.get_pixel(3, 3).0;
            let off = got.iter().zip(to).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 2, "{from:?} should be {to:?} and is {got:?}");
        }
    }
}

#[test]
fn variants_in_srgb_contain_no_profile_and_no_metadata() {
    let original = with_profile(&gradient(64, 48), &ColorProfile::new_display_p3());
    let header = Header::read(&original, &LIMITS).unwrap();
    let limits = Limits { encode: EncodeOptions { color: ColorPolicy::Srgb, ..LIMITS.encode }, ..LIMITS };
    for encoding in [jpeg_q90(), Encoding::Png, webp_q90()] {
        let made = render(&original, &header, fit(32, 32), encoding, &limits).unwrap();
        for name in [&b"ICC_PROFILE"[..], b"iCCP", b"ICCP", b"Exif", b"EXIF", b"eXIf", b"http://ns.adobe.com"] {
            assert!(!made.windows(name.len()).any(|window| window == name), "{encoding:?} {}", name.escape_ascii());
        }
    }
}

/// Encodings that keep colors outside of sRGB.
fn encodings() -> [Encoding; 4] {
    [jpeg_q90(), Encoding::Png, webp_q90(), Encoding::WebP(Quality::new(100).unwrap())]
}

/// The ICC profile of a variant.
fn profile_of(made: &[u8]) -> Option<ColorProfile> {
    let mut decoder = image::ImageReader::new(Cursor::new(made)).with_guessed_format().unwrap().into_decoder().unwrap();
    let profile = image::ImageDecoder::icc_profile(&mut decoder).unwrap();
    profile.map(|profile| ColorProfile::new_from_slice(&profile).unwrap())
}

#[test]
fn colors_outside_of_srgb_are_kept_in_display_p3() {
    // Computed in double precision from the primaries and transfer functions in the specifications.
    let table = [
        (ColorProfile::new_display_p3(), [255, 0, 0], [255, 0, 0]),
        (ColorProfile::new_display_p3(), [20, 200, 40], [20, 200, 40]),
        (ColorProfile::new_adobe_rgb(), [0, 255, 0], [0, 250, 45]),
        (ColorProfile::new_pro_photo_rgb(), [0, 160, 0], [0, 188, 0]),
    ];
    for (profile, from, to) in table {
        for picture in [one_color(from), RgbaImage::from_pixel(16, 16, Rgba([from[0], from[1], from[2], 200])).into()] {
            let original = with_profile(&picture, &profile);
            let header = Header::read(&original, &LIMITS).unwrap();
            for encoding in encodings() {
                let made = render(&original, &header, fit(8, 8), encoding, &LIMITS).unwrap();
                let profile = profile_of(&made).unwrap();
                assert!(profile.transform_matrix(&ColorProfile::new_display_p3()).v[0][0] > 0.9999);
                let image = image::load_from_memory(&made).unwrap();
                assert_eq!(image.color().has_alpha(), picture.color().has_alpha() && encoding != jpeg_q90());
                if encoding == Encoding::Png {
                    let got = image.to_rgb8().get_pixel(3, 3).0;
                    let off = got.iter().zip(to).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                    assert!(off <= 2, "{from:?} should be {to:?} and is {got:?}");
                    assert!(made.windows(8).any(|window| window == b"cICP\x0C\x0D\0\x01"));
                }
            }
        }
    }
}

#[test]
fn colors_within_srgb_are_converted_to_srgb_without_a_profile() {
    for profile in [ColorProfile::new_display_p3(), ColorProfile::new_adobe_rgb(), ColorProfile::new_pro_photo_rgb()] {
        let original = with_profile(&one_color([140, 128, 120]), &profile);
        let header = Header::read(&original, &LIMITS).unwrap();
        for encoding in encodings() {
            let made = render(&original, &header, fit(8, 8), encoding, &LIMITS).unwrap();
            assert!(profile_of(&made).is_none());
        }
        let kept = render(&original, &header, fit(8, 8), Encoding::Png, &LIMITS).unwrap();
        assert!(kept == srgb_variant(&original, fit(8, 8)));
    }
}

#[test]
fn colors_of_planes_and_of_16_bit_pixels_are_kept_too() {
    let mut jpeg = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 95);
    encoder.add_icc_profile(&ColorProfile::new_display_p3().encode().unwrap()).unwrap();
    let pixels: Vec<u8> = [250, 10, 20].repeat(600 * 400);
    encoder.encode(&pixels, 600, 400, jpeg_encoder::ColorType::Rgb).unwrap();
    let wide = image::ImageBuffer::from_pixel(16, 16, Rgb([64_250_u16, 2570, 5140]));
    let wide = with_profile(&DynamicImage::ImageRgb16(wide), &ColorProfile::new_display_p3());
    for original in [&jpeg, &wide] {
        let header = Header::read(original, &LIMITS).unwrap();
        for encoding in encodings() {
            for side in [500, 16] {
                let made = render(original, &header, fit(side, side), encoding, &LIMITS).unwrap();
                assert!(profile_of(&made).is_some(), "{encoding:?} {side}");
                let got = image::load_from_memory(&made).unwrap().to_rgb8().get_pixel(8, 8).0;
                assert!(got.iter().zip([250, 10, 20]).all(|(a, b)| a.abs_diff(b) <= 6), "{got:?}");
            }
        }
        let gif = render(original, &header, fit(16, 16), Encoding::Gif, &LIMITS).unwrap();
        // Clipped to sRGB.
        assert_eq!(image::load_from_memory(&gif).unwrap().to_rgb8().get_pixel(8, 8).0[1], 0);
    }
}

#[test]
fn srgb_profile_without_a_description_changes_nothing() {
    let mut profile = ColorProfile::new_srgb();
    profile.description = None;
    let picture = gradient(64, 48);
    alike(&make(&with_profile(&picture, &profile), fit(64, 48), Encoding::Png).unwrap(), &picture, 0);
}

#[test]
fn gray_profile_converts_gray_and_alpha_is_kept() {
    let profile = ColorProfile::new_gray_with_gamma(1.0);
    let gray: DynamicImage = GrayImage::from_pixel(16, 16, Luma([55])).into();
    let made = make(&with_profile(&gray, &profile), fit(8, 8), Encoding::Png).unwrap();
    assert_eq!(made.color(), image::ColorType::L8);
    // 55/255 of the light is 128 in sRGB (IEC 61966-2-1).
    assert!(made.to_luma8().get_pixel(4, 4).0[0].abs_diff(128) <= 1, "{:?}", made.to_luma8().get_pixel(4, 4));

    let clear: DynamicImage = RgbaImage::from_pixel(16, 16, Rgba([200, 100, 50, 77])).into();
    let made = srgb_variant(&with_profile(&clear, &ColorProfile::new_display_p3()), fit(8, 8));
    let made = image::load_from_memory(&made).unwrap();
    assert_eq!(made.to_rgba8().get_pixel(4, 4).0[3], 77);
    assert!(made.to_rgba8().get_pixel(4, 4).0[0] > 208, "{:?}", made.to_rgba8().get_pixel(4, 4));
}

#[test]
fn damaged_or_mismatched_profile_is_ignored() {
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
fn conversion_after_scaling_preserves_the_light_at_least_as_well() {
    // Hard edges between saturated colors, where the two orders differ most.
    let picture: DynamicImage =
        RgbImage::from_fn(
            128,
            96,
            |x, y| {
                if (x / 16 + y / 16) % 2 == 0 { Rgb([200, 90, 80]) } else { Rgb([80, 150, 100]) }
            },
        )
        .into();
    // The mean light of each channel (IEC 61966-2-1).
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
        let [converted, after] = [fit(128, 96), fit(50, 50)]
            .map(|geometry| image::load_from_memory(&srgb_variant(&original, geometry)).unwrap());
        let before = make(&bytes(&converted, ImageFormat::Png), fit(50, 50), Encoding::Png).unwrap();
        let lost = |made: &DynamicImage| -> f64 {
            light(made).iter().zip(light(&converted)).map(|(made, whole)| (made - whole).abs()).sum()
        };
        assert!(lost(&after) <= lost(&before) + 0.002, "{} against {}", lost(&after), lost(&before));
    }
}

/// A JPEG of one CMYK color, as Adobe programs write it. `color` is CMYK or YCCK.
fn cmyk_jpeg(ink: [u8; 4], color: jpeg_encoder::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let pixels: Vec<u8> = (0..64 * 64).flat_map(|_| ink).collect();
    jpeg_encoder::Encoder::new(&mut bytes, 95).encode(&pixels, 64, 64, color).unwrap();
    bytes
}

#[test]
fn cmyk_without_a_profile_converts_like_in_browsers() {
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
            let made = make(&cmyk_jpeg(ink, color), fit(20, 20), Encoding::Png).unwrap().to_rgb8();
            let got = made.get_pixel(10, 10).0;
            let off = got.iter().zip(light).map(|(a, b)| a.abs_diff(b)).max().unwrap();
            assert!(off <= 4, "{ink:?} {color:?} should be {light:?} and is {got:?}");
        }
    }
}

#[test]
fn cmyk_without_an_adobe_marker_is_not_inverted() {
    let file = cmyk_jpeg([200, 40, 90, 30], jpeg_encoder::ColorType::Cmyk);
    let marker = file.windows(9).position(|window| window == b"\xFF\xEE\0\x0EAdobe").unwrap();
    let without = [&file[..marker], &file[marker + 16..]].concat();
    let color = |file: &[u8]| make(file, fit(20, 20), Encoding::Png).unwrap().to_rgb8().get_pixel(10, 10).0;
    let light = |ink: [u8; 4]| [0, 1, 2].map(|n| (u16::from(255 - ink[n]) * u16::from(255 - ink[3]) / 255) as u8);
    for (got, ink) in [(color(&file), [200, 40, 90, 30]), (color(&without), [55, 215, 165, 225])] {
        let off = got.iter().zip(light(ink)).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(off <= 4, "{got:?} for {ink:?}");
    }
}
