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
