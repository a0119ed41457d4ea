//! Pictures whose quarters differ in color, which reveals crops, rotations and mirroring.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

pub const RED: [u8; 3] = [220, 30, 30];
pub const GREEN: [u8; 3] = [30, 200, 30];
pub const BLUE: [u8; 3] = [30, 30, 220];
pub const YELLOW: [u8; 3] = [220, 210, 30];

/// Draws a picture with one color per quarter: red and green above, blue and yellow below.
pub fn quarters(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        Rgb(match (x < width / 2, y < height / 2) {
            (true, true) => RED,
            (false, true) => GREEN,
            (true, false) => BLUE,
            (false, false) => YELLOW,
        })
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    quarters(width, height, ImageFormat::Jpeg)
}

/// A JPEG with waves, rings and noise, of which AVIF has fewer bytes than WebP. Each seed gives another picture.
pub fn textured_jpeg(width: u32, height: u32, seed: u32) -> Vec<u8> {
    let mut random = seed;
    let picture = RgbImage::from_fn(width, height, |x, y| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(random >> 28);
        let (x, y, seed) = (f64::from(x), f64::from(y), f64::from(seed));
        let rings = 60.0 * ((x * x + y * y) / 300.0).sin();
        let wave = |length: f64| 50.0 * (x / length + seed).sin() + 50.0 * (y / (length + 7.0)).cos();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 255")]
        Rgb([23.0, 31.0, 47.0].map(|length| (110.0 + wave(length) + rings + noise).clamp(0.0, 255.0) as u8))
    });
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(picture).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Size and the colors of the four quarters, row by row.
#[derive(Debug)]
pub struct Seen {
    pub width: u32,
    pub height: u32,
    pub format: ImageFormat,
    quarters: [[u8; 3]; 4],
}

pub fn see(bytes: &[u8]) -> Seen {
    let format = image::guess_format(bytes).unwrap();
    let picture = image::load_from_memory(bytes).unwrap().to_rgb8();
    let (width, height) = picture.dimensions();
    let at = |x: u32, y: u32| picture.get_pixel(x, y).0;
    let (left, right, top, bottom) = (width / 4, width * 3 / 4, height / 4, height * 3 / 4);
    Seen { width, height, format, quarters: [at(left, top), at(right, top), at(left, bottom), at(right, bottom)] }
}

impl Seen {
    #[track_caller]
    pub fn has_quarters(&self, expected: [[u8; 3]; 4]) {
        for (seen, expected) in self.quarters.iter().zip(expected) {
            let close = seen.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 30);
            assert!(close, "{:?} is not {expected:?}", self.quarters);
        }
    }
}

/// A JPEG with a gain map of a quarter of its width and height: an index of two images (CIPA DC-007), and a description of
/// the second one (Android, Ultra HDR Image Format 1.1).
pub fn jpeg_with_gain_map(width: u32, height: u32) -> Vec<u8> {
    const DESCRIPTION: &str = "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF \
        xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'><rdf:Description \
        xmlns:hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/' hdrgm:Version='1.0' hdrgm:GainMapMax='2' \
        hdrgm:HDRCapacityMax='2'/></rdf:RDF></x:xmpmeta>";
    let with_segment = |picture: &[u8], marker: u8, payload: &[u8]| {
        let length = u16::try_from(payload.len() + 2).unwrap().to_be_bytes();
        [&picture[..2], &[0xFF, marker], &length, payload, &picture[2..]].concat()
    };
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0", DESCRIPTION.as_bytes()].concat();
    let map = with_segment(&jpeg(width / 4, height / 4), 0xE1, &xmp);
    let base = jpeg(width, height);
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    // Offsets count from the start of this directory, which follows the markers and lengths of its segment.
    let index = |base_length: usize| {
        let map_offset = u32::try_from(base_length - 10).unwrap();
        let image = |length: usize, offset: u32| {
            [[0; 4], u32::try_from(length).unwrap().to_le_bytes(), offset.to_le_bytes(), [0; 4]].concat()
        };
        [
            b"MPF\0II*\0\x08\0\0\0\x03\0",
            &entry(0xB000, 7, 4, u32::from_le_bytes(*b"0100"))[..],
            &entry(0xB001, 4, 1, 2),
            &entry(0xB002, 7, 32, 50),
            &[0; 4],
            &image(base_length, 0),
            &image(map.len(), map_offset),
        ]
        .concat()
    };
    let base_length = base.len() + 4 + index(10).len();
    [with_segment(&base, 0xE2, &index(base_length)), map].concat()
}
