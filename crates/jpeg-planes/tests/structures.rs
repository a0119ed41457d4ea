//! Files whose structure differs from that of common encoders: color models, duplicate ids, missing segments, arithmetic
//! coding, extra bytes.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use jpeg_planes::{ColorModel, Error, Header, Incomplete, Limits, Options, Plane, Scale, decode};

const HUFFMAN: &[u8] = include_bytes!("files/huffman.jpg");
/// The same coefficients as in [`HUFFMAN`], recoded by jpegtran.
const ARITHMETIC: [&[u8]; 3] = [
    include_bytes!("files/arithmetic.jpg"),
    include_bytes!("files/arithmetic-restart.jpg"),
    include_bytes!("files/arithmetic-progressive.jpg"),
];

fn file(color: ColorType, progressive: bool) -> Vec<u8> {
    let channels = match color {
        ColorType::Luma => 1,
        ColorType::Cmyk | ColorType::CmykAsYcck => 4,
        _ => 3,
    };
    let data: Vec<u8> =
        (0..48 * 40 * channels as u32).map(|n| (n.wrapping_mul(n / channels as u32) >> 4) as u8).collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, 80);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.set_progressive(progressive);
    encoder.encode(&data, 48, 40, color).unwrap();
    bytes
}

fn decode_at(bytes: &[u8], scale: Scale) -> Result<Vec<Plane>, Error> {
    let header = Header::read(bytes, &Limits::default())?;
    decode(bytes, &header, &Options { scales: [scale.into(); 4], ..Options::default() })
}

fn planes(bytes: &[u8]) -> Result<Vec<Plane>, Error> {
    decode_at(bytes, Scale::Full)
}

/// The positions of all segments with a marker, and their lengths with the marker.
fn segments(bytes: &[u8], marker: u8) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 2;
    while let Some(&[0xFF, code, high, low]) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        found.extend((code == marker).then_some(at..end));
        at = end;
        if code == 0xDA {
            let next =
                |at: &usize| bytes[*at] == 0xFF && bytes[*at + 1] != 0 && !(0xD0..0xD8).contains(&bytes[*at + 1]);
            at = (at..bytes.len() - 1).find(next).unwrap();
        }
    }
    found
}

fn without(bytes: &[u8], marker: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    segments(&bytes, marker).into_iter().rev().for_each(|range| drop(bytes.drain(range)));
    bytes
}

/// Replaces the JFIF segment by an Adobe segment with this transform.
fn with_adobe(bytes: &[u8], transform: u8) -> Vec<u8> {
    let bytes = without(bytes, 0xE0);
    [&bytes[..2], b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0", &[transform], &bytes[2..]].concat()
}

/// Renames the components in the frame header and in all scan headers.
fn with_ids(bytes: &[u8], ids: [u8; 3]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let frame = [0xC0, 0xC2].iter().find_map(|marker| segments(bytes, *marker).pop()).unwrap().start;
    let old = [0, 1, 2].map(|n| bytes[frame + 10 + 3 * n]);
    (0..3).for_each(|n| changed[frame + 10 + 3 * n] = ids[n]);
    for scan in segments(bytes, 0xDA) {
        for n in 0..usize::from(bytes[scan.start + 4]) {
            let id = &mut changed[scan.start + 5 + 2 * n];
            *id = ids[old.iter().position(|old| *old == *id).unwrap()];
        }
    }
    changed
}

#[test]
fn color_models_follow_markers_and_component_ids() {
    let ycc = file(ColorType::Ycbcr, false);
    let bare = without(&ycc, 0xE0);
    let cmyk = file(ColorType::Cmyk, false);
    for (bytes, model, has_adobe_marker) in [
        (file(ColorType::Luma, false), ColorModel::Gray, false),
        (ycc.clone(), ColorModel::YCbCr, false),
        (with_ids(&ycc, *b"RGB"), ColorModel::YCbCr, false),
        (bare.clone(), ColorModel::YCbCr, false),
        (with_ids(&bare, *b"RGB"), ColorModel::Rgb, false),
        (with_adobe(&ycc, 0), ColorModel::Rgb, true),
        (with_adobe(&ycc, 1), ColorModel::YCbCr, true),
        (with_ids(&with_adobe(&ycc, 1), *b"RGB"), ColorModel::YCbCr, true),
        (without(&cmyk, 0xEE), ColorModel::Cmyk, false),
        (with_adobe(&without(&cmyk, 0xEE), 0), ColorModel::Cmyk, true),
        (file(ColorType::CmykAsYcck, false), ColorModel::Ycck, true),
    ] {
        let header = Header::read(&bytes, &Limits::default()).unwrap();
        assert_eq!((header.color_model, header.has_adobe_marker), (model, has_adobe_marker));
        let full = planes(&bytes).unwrap();
        assert_eq!(full.len(), header.component_count());
        for scale in Scale::ALL {
            let made = decode_at(&bytes, scale).unwrap();
            assert!(made.iter().enumerate().all(|(n, p)| Some((p.width, p.height)) == header.plane_size(n, scale)));
        }
    }
}

#[test]
fn duplicate_ids_name_the_components_in_their_order() {
    let bytes = file(ColorType::Ycbcr, false);
    for ids in [[1, 1, 1], [7, 7, 9], [0, 1, 1]] {
        assert_eq!(planes(&with_ids(&bytes, ids)), planes(&bytes));
    }
    let progressive = with_ids(&file(ColorType::Ycbcr, true), [1, 1, 1]);
    assert!(planes(&progressive).unwrap_err().to_string().contains("duplicate component id"));
}

#[test]
fn standard_huffman_tables_apply_where_the_file_defines_none() {
    // The encoder uses the standard tables unless it optimizes them.
    for color in [ColorType::Luma, ColorType::Ycbcr] {
        let bytes = file(color, false);
        let bare = without(&bytes, 0xC4);
        assert!(bare.len() < bytes.len() - 100);
        assert_eq!(planes(&bare), planes(&bytes));
    }
    assert!(planes(&without(&file(ColorType::Ycbcr, true), 0xC4)).is_err());
}

#[test]
fn a_file_without_eoi_is_whole_if_all_its_scans_are() {
    for progressive in [false, true] {
        let bytes = file(ColorType::Ycbcr, progressive);
        let end = bytes.len();
        for whole in [&bytes[..end - 2], &bytes[..end - 1]] {
            assert_eq!(planes(whole), planes(&bytes), "{progressive}");
        }
        assert_eq!(planes(&bytes[..end - 3]), Err(Error::Truncated), "{progressive}");
        // Without its last scan.
        if progressive {
            let last = segments(&bytes, 0xDA).pop().unwrap().start;
            assert_eq!(planes(&bytes[..last]), Err(Error::Truncated));
            assert_eq!(planes(&[&bytes[..last], b"\xFF\xD9"].concat()), Err(Error::Truncated));
            assert_eq!(decode_at(&bytes[..last], Scale::Eighth), decode_at(&bytes, Scale::Eighth));
        }
    }
}

#[test]
fn bytes_that_encoders_append_are_harmless() {
    for progressive in [false, true] {
        let bytes = file(ColorType::Ycbcr, progressive);
        let (most, end) = bytes.split_at(bytes.len() - 2);
        for extra in [&b"\xFF\xFF\xFF"[..], b"\xFF", b"\0\0\0"] {
            let changed = [most, extra, end].concat();
            // Zeros are harmless only if they also fill the last byte.
            let is_harmless = extra[0] == 0xFF || planes(&changed).is_ok();
            assert!(is_harmless && (planes(&changed).is_err() || planes(&changed) == planes(&bytes)));
        }
        assert_eq!(planes(&[&bytes, &b"trailing data"[..]].concat()), planes(&bytes));
    }
}

#[test]
fn arithmetic_coding_gives_the_same_planes_as_huffman_coding() {
    for bytes in ARITHMETIC {
        assert!(Header::read(bytes, &Limits::default()).unwrap().arithmetic);
        for scale in Scale::ALL {
            assert_eq!(decode_at(bytes, scale), decode_at(HUFFMAN, scale), "{scale:?}");
        }
    }
}

#[test]
fn cut_arithmetic_data_is_an_error_or_decodes_partially() {
    let whole = planes(HUFFMAN).unwrap();
    for (n, bytes) in ARITHMETIC.into_iter().enumerate() {
        let data = segments(bytes, 0xDA)[0].end;
        for end in (data..bytes.len() - 60).step_by(5) {
            for cut in [bytes[..end].to_vec(), [&bytes[..end], b"\xFF\xD9"].concat()] {
                assert!(matches!(planes(&cut), Err(Error::Truncated | Error::Damaged(_))), "{n}, {end}");
                let header = Header::read(&cut, &Limits::default()).unwrap();
                let keep = Options { incomplete: Incomplete::Keep, ..Options::default() };
                let kept = decode(&cut, &header, &keep).unwrap();
                assert_eq!(kept.len(), 3);
                if n == 0 && end > data + (bytes.len() - data) / 2 {
                    assert_eq!(kept[0].data[..8 * 96], whole[0].data[..8 * 96], "the top rows are exact");
                }
            }
        }
    }
}

#[test]
fn uniform_areas_in_arithmetic_coding_are_not_taken_for_truncation() {
    // Pictures of 2000 x 1500 pixels of one color. The code of their last blocks is zero and therefore omitted.
    for bytes in [&include_bytes!("files/uniform.jpg")[..], include_bytes!("files/uniform-progressive.jpg")] {
        assert!(planes(bytes).unwrap()[0].data.iter().all(|&sample| sample == 77));
    }
}
