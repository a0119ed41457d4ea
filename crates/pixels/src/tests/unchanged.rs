//! Variants with the pixels of their original.

use super::*;

/// A few pixels, which every encoder would make larger than a well-compressed original.
fn smallest(format: ImageFormat) -> Vec<u8> {
    match format {
        // Re-encoding at quality 90 needs more bytes.
        ImageFormat::Jpeg => {
            let mut file = Vec::new();
            let picture = gradient(64, 48).to_rgb8();
            let mut encoder = jpeg_encoder::Encoder::new(&mut file, 10);
            encoder.set_optimized_huffman_tables(true);
            encoder.encode(&picture, 64, 48, jpeg_encoder::ColorType::Rgb).unwrap();
            file
        }
        ImageFormat::WebP => {
            let pixels =
                crate::pixels::Pixels { width: 64, height: 48, channels: 3, data: gradient(64, 48).into_bytes() };
            let quality = Quality::new(10).unwrap();
            crate::codec::webp::encode::encode(
                &pixels,
                quality,
                crate::effort::WebpEffort::default(),
                RenderContext::new(&LIMITS).deadline,
            )
            .unwrap()
        }
        format => bytes(&gradient(64, 48), format),
    }
}

/// The original with metadata, and the kept part of the variant.
fn with_metadata(format: ImageFormat) -> (Vec<u8>, Vec<u8>) {
    let mut plain = smallest(format);
    let mut file = plain.clone();
    match format {
        ImageFormat::Jpeg => {
            let comment = b"\xFF\xFE\0\x08secret";
            file.splice(2..2, comment.iter().copied());
            file.extend(b"after the end");
        }
        ImageFormat::Png => {
            let chunk = b"\0\0\0\x06tEXtsecret";
            file.splice(33..33, chunk.iter().copied().chain(crc32(&chunk[4..]).to_be_bytes()));
        }
        ImageFormat::WebP => file.extend(b"XMP \x06\0\0\0secret"),
        ImageFormat::Gif => {
            let end = file.len() - 1;
            file.splice(end..end, *b"\x21\xFE\x06secret\0");
        }
        _ => plain.clear(),
    }
    (file, plain)
}

fn encoding_of(format: ImageFormat) -> Encoding {
    match format {
        ImageFormat::Jpeg => jpeg_q90(),
        ImageFormat::Png => Encoding::Png,
        ImageFormat::WebP => webp_q90(),
        _ => Encoding::Gif,
    }
}

#[test]
fn a_variant_that_would_not_be_smaller_is_the_original_without_metadata() {
    for format in [ImageFormat::Jpeg, ImageFormat::WebP] {
        let (original, plain) = with_metadata(format);
        let header = Header::read(&original, &LIMITS).unwrap();
        let made = |geometry, limits| render(&original, &header, geometry, encoding_of(format), limits).unwrap();
        assert_eq!(made(fit(64, 48), &LIMITS), plain, "{format:?}");
        assert_eq!(made(fit(500, 500), &LIMITS), plain, "{format:?}");
        let crop = Geometry::Crop { width: nonzero(64), height: nonzero(48), region: Region::Center };
        assert_eq!(made(crop, &LIMITS), plain, "{format:?}");
        // Variants of one job are the same.
        let output = OutputSpec { geometry: fit(64, 48), encoding: encoding_of(format) };
        let smaller = OutputSpec { geometry: fit(32, 32), ..output };
        let mut results = Vec::new();
        render_each(&original, &header, &[output, smaller], &LIMITS, |_, made| results.push(made.unwrap()));
        assert_eq!(results[0], plain, "{format:?}");
        assert!(!results.iter().any(|made| made.windows(6).any(|window| window == b"secret")), "{format:?}");
        // Damage would be copied.
        let keeping = Limits { incomplete: Incomplete::Keep, ..LIMITS };
        assert_ne!(made(fit(64, 48), &keeping), plain, "{format:?}");
    }
}

#[test]
fn a_variant_is_never_larger_than_its_original_without_metadata() {
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let (original, plain) = with_metadata(format);
        let header = Header::read(&original, &LIMITS).unwrap();
        let made = render(&original, &header, fit(64, 48), encoding_of(format), &LIMITS).unwrap();
        assert!(made.len() <= plain.len(), "{format:?}: {} of {}", made.len(), plain.len());
        alike(&image::load_from_memory(&made).unwrap(), &image::load_from_memory(&plain).unwrap(), 0);
    }
}

#[test]
fn variants_with_other_pixels_are_encoded() {
    let plain = smallest(ImageFormat::Jpeg);
    let turned = with_orientation(&plain, 6);
    let made = make(&turned, fit(64, 64), jpeg_q90()).unwrap();
    assert_eq!((made.width(), made.height()), (48, 64));
    let mut profile = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut profile, 10);
    encoder.add_icc_profile(&ColorProfile::new_display_p3().encode().unwrap()).unwrap();
    encoder.encode(&gradient(64, 48).to_rgb8(), 64, 48, jpeg_encoder::ColorType::Rgb).unwrap();
    let limits = Limits { encode: EncodeOptions { color: ColorPolicy::Srgb, ..LIMITS.encode }, ..LIMITS };
    let header = Header::read(&profile, &limits).unwrap();
    let made = render(&profile, &header, fit(64, 48), Encoding::Jpeg(Quality::new(100).unwrap()), &limits).unwrap();
    assert!(!made.windows(11).any(|window| window == b"ICC_PROFILE"));
}
