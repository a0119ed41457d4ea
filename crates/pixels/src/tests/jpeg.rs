//! JPEG originals: color models, unsupported coding processes, and damage.

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::*;
use crate::error::UnsupportedFormat;

const WIDTH: u16 = 120;
const HEIGHT: u16 = 90;

/// A color model and coding process of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Gray,
    YCbCr(SamplingFactor),
    Rgb,
    Cmyk,
    Ycck,
}

const MODELS: [Model; 6] = [
    Model::Gray,
    Model::YCbCr(SamplingFactor::F_1_1),
    Model::YCbCr(SamplingFactor::F_2_2),
    Model::Rgb,
    Model::Cmyk,
    Model::Ycck,
];

/// A picture with detail in every block, stored in this color model.
fn file(model: Model, progressive: bool) -> Vec<u8> {
    let (color, channels) = match model {
        Model::Gray => (ColorType::Luma, 1),
        Model::YCbCr(_) => (ColorType::Rgb, 3),
        // The encoder stores these samples as they are. The Adobe marker makes them RGB.
        Model::Rgb => (ColorType::Ycbcr, 3),
        Model::Cmyk => (ColorType::Cmyk, 4),
        Model::Ycck => (ColorType::CmykAsYcck, 4),
    };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 90);
    encoder.set_sampling_factor(if let Model::YCbCr(sampling) = model { sampling } else { SamplingFactor::F_1_1 });
    encoder.set_progressive(progressive);
    encoder.encode(&samples(channels), WIDTH, HEIGHT, color).unwrap();
    if model == Model::Rgb { with_adobe_marker(&bytes) } else { bytes }
}

fn samples(channels: usize) -> Vec<u8> {
    let mut seed = 1_u32;
    let mut noise = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 27) as usize
    };
    let sample = |x: usize, y: usize, channel: usize| x + y / 2 * (channel + 1) % 90 + 20 * channel;
    (0..usize::from(HEIGHT))
        .flat_map(|y| (0..usize::from(WIDTH)).map(move |x| (x, y)))
        .flat_map(|(x, y)| (0..channels).map(move |channel| sample(x, y, channel)))
        .map(|sample| u8::try_from((sample + noise()).min(255)).unwrap())
        .collect()
}

/// Replaces the JFIF segment by an Adobe segment with transform 0.
fn with_adobe_marker(jpeg: &[u8]) -> Vec<u8> {
    assert_eq!(jpeg[2..11], *b"\xFF\xE0\0\x10JFIF\0");
    [&jpeg[..2], b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\0", &jpeg[20..]].concat()
}

fn whole() -> Geometry {
    fit(u32::from(WIDTH), u32::from(HEIGHT))
}

#[test]
fn rgb_jpeg_keeps_its_colors() {
    let stored = RgbImage::from_raw(WIDTH.into(), HEIGHT.into(), samples(3)).unwrap();
    for progressive in [false, true] {
        for linear_light in [false, true] {
            let original = file(Model::Rgb, progressive);
            let limits = Limits { encode: EncodeOptions { linear_light, ..LIMITS.encode }, ..LIMITS };
            let header = Header::read(&original, &limits).unwrap();
            let make = |geometry, encoding| {
                let made = render(&original, &header, geometry, encoding, &limits).unwrap();
                image::load_from_memory(&made).unwrap()
            };
            alike(&make(whole(), Encoding::Png), &stored.clone().into(), 24);
            let small = image::imageops::resize(&stored, 30, 23, image::imageops::FilterType::Lanczos3);
            alike(&make(fit(30, 30), Encoding::Png), &small.clone().into(), 24);
            alike(&make(fit(30, 30), jpeg_q90()), &small.into(), 40);
        }
    }
}

#[test]
fn linear_light_and_gamma_light_agree_at_full_size() {
    for model in MODELS {
        let original = file(model, false);
        let make = |linear_light| {
            let limits = Limits { encode: EncodeOptions { linear_light, ..LIMITS.encode }, ..LIMITS };
            let header = Header::read(&original, &limits).unwrap();
            image::load_from_memory(&render(&original, &header, whole(), Encoding::Png, &limits).unwrap()).unwrap()
        };
        // The filters that interpolate chroma differ at its noise.
        alike(&make(true), &make(false), if model == Model::YCbCr(SamplingFactor::F_2_2) { 24 } else { 0 });
    }
}

#[test]
fn unsupported_coding_processes_are_refused_by_name() {
    let original = file(Model::Gray, false);
    let frame = original.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    for (at, value, name) in [
        (1, 0xC3, "a JPEG with lossless coding"),
        (1, 0xC5, "a JPEG with hierarchical coding"),
        (1, 0xF7, "a JPEG with JPEG-LS coding"),
        (4, 12, "a JPEG with 12 bits per sample"),
    ] {
        let mut changed = original.clone();
        changed[frame + at] = value;
        let error = Header::read(&changed, &LIMITS).unwrap_err();
        assert!(matches!(error, Error::UnsupportedFormat { format: UnsupportedFormat::JpegWith(_), .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

/// Position of the entropy-coded data of the first scan.
fn first_data(jpeg: &[u8]) -> usize {
    let scan = jpeg.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    scan + 2 + usize::from(jpeg[scan + 3])
}

/// Copies of a file with one kind of damage each, at a quarter, half and three quarters of its data.
fn damaged_copies(jpeg: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let data = first_data(jpeg)..jpeg.len() - 2;
    let mut copies = Vec::new();
    for quarter in 1..4 {
        let at = data.start + data.len() * quarter / 4;
        copies.push(("cut", jpeg[..at].to_vec()));
        copies.push(("cut, with EOI", [&jpeg[..at], b"\xFF\xD9"].concat()));
        let mut overwritten = jpeg.to_vec();
        let mut seed = 7_u32;
        for byte in &mut overwritten[at..at + data.len() / 8] {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // No 0xFF, which would begin a marker.
            *byte = (seed >> 25) as u8;
        }
        copies.push(("overwritten", overwritten));
        let mut with_marker = jpeg.to_vec();
        with_marker[at..at + 2].copy_from_slice(b"\xFF\xD3");
        copies.push(("restart marker", with_marker));
        // No Huffman code is longer than 16 bits, and none consists of ones (ITU-T T.81, section C.2).
        let mut wrong_code = jpeg.to_vec();
        wrong_code[at..at + 8].copy_from_slice(&[0xFF, 0, 0xFF, 0, 0xFF, 0, 0xFF, 0]);
        copies.push(("wrong code", wrong_code));
    }
    copies
}

/// Files in arithmetic coding, which no encoder of the tests writes.
const ARITHMETIC: [(&str, &[u8]); 3] = [
    ("YCbCr", include_bytes!("../../../jpeg-planes/tests/files/arithmetic.jpg")),
    ("progressive YCbCr", include_bytes!("../../../jpeg-planes/tests/files/arithmetic-progressive.jpg")),
    ("CMYK", include_bytes!("../../../jpeg-planes/tests/files/arithmetic-cmyk.jpg")),
];

#[test]
fn damage_is_never_shown_if_incomplete_originals_are_refused() {
    let mut files: Vec<(String, bool, Vec<u8>)> = Vec::new();
    for (model, progressive) in MODELS.into_iter().flat_map(|model| [(model, false), (model, true)]) {
        files.push((format!("{model:?}, progressive: {progressive}"), progressive, file(model, progressive)));
    }
    for (name, bytes) in ARITHMETIC {
        files.push((format!("{name}, arithmetic"), name.starts_with("progressive"), bytes.to_vec()));
    }
    for (name, is_progressive, original) in &files {
        let header = Header::read(original, &LIMITS).unwrap();
        let (width, height) = header.oriented_size();
        for (damage, copy) in damaged_copies(original) {
            if damage == "wrong code" && name.ends_with("arithmetic") {
                continue;
            }
            for linear_light in [false, true] {
                let encode = EncodeOptions { linear_light, ..LIMITS.encode };
                let refuse = Limits { encode, ..LIMITS };
                let keep = Limits { incomplete: Incomplete::Keep, ..refuse };
                for (geometry, encoding) in
                    [(fit(width, height), Encoding::Png), (fit(width, height), jpeg_q90()), (fit(10, 10), jpeg_q90())]
                {
                    let what = format!("{name}, {damage}, {geometry:?}, {encoding:?}, linear light: {linear_light}");
                    // A small variant of a progressive original needs only its first scans, which may be whole.
                    let is_exact = |made: &[u8]| {
                        *is_progressive && render(original, &header, geometry, encoding, &refuse).unwrap() == made
                    };
                    match Header::read(&copy, &refuse).and_then(|h| render(&copy, &h, geometry, encoding, &refuse)) {
                        Ok(made) => assert!(is_exact(&made), "{what}"),
                        Err(error) => assert!(matches!(error, Error::Damaged { .. }), "{what}: {error}"),
                    }
                    let header = Header::read(&copy, &keep).unwrap();
                    let kept = render(&copy, &header, geometry, encoding, &keep);
                    assert!(kept.is_ok(), "{what}: {kept:?}");
                }
            }
        }
    }
}
