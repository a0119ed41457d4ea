//! Unsupported, oversized and damaged originals.

use super::*;

#[test]
fn unsupported_formats_are_refused_by_name() {
    for (original, word) in [
        (&b"\0\0\0\x18ftyphevc\0\0\0\0msf1hevc"[..], "HEIC"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7", "not an image"),
    ] {
        let error = Header::read(original, &LIMITS).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
        assert!(error.ends_with(&format!("accepted are {}", Codecs::DEFAULT)), "{error}");
    }
    assert_eq!(Header::read(b"", &LIMITS).unwrap_err(), Error::Empty);
}

#[test]
fn avif_is_refused_by_name_if_it_is_not_decoded() {
    let original = b"\0\0\0\x1Cftypavif\0\0\0\0mif1";
    let limits = Limits { originals: [Codec::Jpeg, Codec::Png].into_iter().collect(), ..LIMITS };
    let error = Header::read(original, &limits).unwrap_err().to_string();
    let reason = match cfg!(feature = "avif-originals") {
        true => "which this server does not accept (formats.originals)",
        false => "which this server was built without (cargo build --features avif-originals)",
    };
    assert_eq!(error, format!("the original is AVIF, {reason}; accepted are JPEG and PNG"));
    let is_decoded = !matches!(Header::read(original, &LIMITS), Err(Error::UnsupportedFormat { .. }));
    assert_eq!(is_decoded, cfg!(feature = "avif-originals"));
}

/// Small files whose headers state a huge size.
fn huge_headers() -> Vec<Vec<u8>> {
    let small = |format| bytes(&gradient(8, 8), format);
    let replaced = |mut bytes: Vec<u8>, at: usize, with: &[u8]| {
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };
    let jpeg = small(ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|window| window == [0xFF, 0xC0]).unwrap() + 5;
    let mut png = replaced(small(ImageFormat::Png), 16, &[0x7F, 0xFF, 0xFF, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF]);
    let sum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&sum.to_be_bytes());
    vec![
        replaced(jpeg, frame, &[0xFF; 4]),
        png,
        replaced(small(ImageFormat::Gif), 6, &[0xFF; 4]),
        // VP8L: width and height minus one, 14 bits each, after the signature.
        replaced(small(ImageFormat::WebP), 21, &[0xFE, 0xBF, 0xFF, 0x0F]),
    ]
}

#[test]
fn header_with_too_many_pixels_is_refused() {
    for file in huge_headers() {
        let error = Header::read(&file, &LIMITS).unwrap_err();
        assert!(matches!(error, Error::TooManyPixels { .. }), "{:?}: {error}", sniff(&file));
    }
}

#[test]
fn output_over_its_pixel_limit_is_refused() {
    let original = bytes(&gradient(100, 100), ImageFormat::Png);
    let limits = Limits { output_pixels: 100, ..LIMITS };
    let header = Header::read(&original, &limits).unwrap();
    let error = render(&original, &header, fit(11, 11), Encoding::Png, &limits).unwrap_err();
    assert!(error.to_string().contains("limits.output_pixels"), "{error}");
    assert!(render(&original, &header, fit(10, 10), Encoding::Png, &limits).is_ok());
}

#[test]
fn damaged_files_never_panic() {
    let picture = gradient(48, 32);
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
        let whole = bytes(&picture, format);
        for sixteenth in 0..16 {
            let _ = make(&whole[..whole.len() * sixteenth / 16], fit(20, 20), jpeg_q90());
        }
        // A linear congruential generator (Numerical Recipes), so that every run has the same mutations.
        let mut seed = 1_u32;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            usize::try_from(seed >> 8).unwrap() % below
        };
        for _ in 0..1000 {
            let mut mutated = whole.clone();
            for _ in 0..=random(4) {
                let at = random(mutated.len());
                mutated[at] = u8::try_from(random(256)).unwrap();
            }
            if let Ok(made) = make(&mutated, fit(20, 20), Encoding::Png) {
                assert!(made.width() <= 20 && made.height() <= 20);
            }
        }
    }
}

#[test]
fn truncated_png_is_an_error() {
    let whole = bytes(&gradient(48, 32), ImageFormat::Png);
    let error = make(&whole[..whole.len() / 2], fit(20, 20), Encoding::Png).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
}

#[test]
fn png_that_does_not_begin_with_its_header_is_refused_by_name() {
    let png = bytes(&gradient(8, 8), ImageFormat::Png);
    let moved = [&png[..8], b"\0\0\0\0tIME\0\0\0\0", &png[8..]].concat();
    let error = Header::read(&moved, &LIMITS).unwrap_err().to_string();
    assert!(error.contains("IHDR is not the first chunk"), "{error}");
}

/// A gray PNG of 11x5 pixels, interlaced or not.
fn gray_png(is_interlaced: bool) -> Vec<u8> {
    let chunk = |name: &[u8; 4], data: &[u8]| {
        let named = [name, data].concat();
        [&u32::try_from(data.len()).unwrap().to_be_bytes()[..], &named, &crc32(&named).to_be_bytes()].concat()
    };
    // Columns and rows of the passes.
    let passes: &[(usize, usize)] =
        if is_interlaced { &[(2, 1), (1, 1), (3, 1), (3, 2), (6, 1), (5, 3), (11, 2)] } else { &[(11, 5)] };
    let rows: Vec<u8> =
        passes.iter().flat_map(|&(width, height)| [&[0][..], &vec![77; width]].concat().repeat(height)).collect();
    let mut pixels = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut pixels, &rows).unwrap();
    let header = [0, 0, 0, 11, 0, 0, 0, 5, 8, 0, 0, 0, u8::from(is_interlaced)];
    let chunks = [chunk(b"IHDR", &header), chunk(b"IDAT", &pixels.finish().unwrap()), chunk(b"IEND", &[])];
    [b"\x89PNG\r\n\x1A\n".to_vec(), chunks.concat()].concat()
}

#[test]
fn png_whose_only_fault_is_a_missing_end_is_whole() {
    for is_interlaced in [false, true] {
        let whole = gray_png(is_interlaced);
        for end in 0..whole.len() {
            // The last twelve bytes are the chunk IEND.
            let is_whole = end >= whole.len() - 12;
            let made = make(&whole[..end], fit(11, 5), Encoding::Png);
            assert_eq!(made.is_ok(), is_whole, "{is_interlaced} {end} {:?}", made.err());
            assert!(made.is_err() || made.unwrap().to_luma8().iter().all(|sample| *sample == 77));
        }
    }
}
