//! Pictures that say who they are: 6 x 4 fields, black or white, for a number, a version, and a check of both. They survive
//! being made small and being coded with loss.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma};

const COLUMNS: u32 = 6;
const ROWS: u32 = 4;
const FIELD: u32 = 80;

/// What a picture says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Below 64.
    pub number: u32,
    /// Below 4096.
    pub version: u32,
}

impl Identity {
    fn bits(self) -> u32 {
        let Self { number, version } = self;
        assert!(number < 64 && version < 4096, "{self:?} is more than fits into a picture");
        (check(number, version) << 18) | (version << 6) | number
    }

    /// The picture of this identity, 480 x 320, as JPEG.
    pub fn draw(self) -> Vec<u8> {
        let bits = self.bits();
        let picture = image::GrayImage::from_fn(COLUMNS * FIELD, ROWS * FIELD, |x, y| {
            let bit = y / FIELD * COLUMNS + x / FIELD;
            Luma([if bits >> bit & 1 == 1 { 225 } else { 30 }])
        });
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(picture).into_rgb8().write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    /// Who a picture is and how large, from its pixels alone.
    pub fn read(bytes: &[u8]) -> Result<(Self, u32, u32), String> {
        let picture =
            image::load_from_memory(bytes).map_err(|error| format!("it does not decode: {error}"))?.to_luma8();
        let (width, height) = picture.dimensions();
        let mut bits = 0;
        for bit in 0..COLUMNS * ROWS {
            let x = (bit % COLUMNS * 2 + 1) * width / (COLUMNS * 2);
            let y = (bit / COLUMNS * 2 + 1) * height / (ROWS * 2);
            bits |= u32::from(picture.get_pixel(x, y).0[0] > 127) << bit;
        }
        let this = Self { number: bits & 63, version: bits >> 6 & 4095 };
        if bits >> 18 != check(this.number, this.version) {
            return Err(format!("it is no picture of ours: {bits:06x}"));
        }
        Ok((this, width, height))
    }
}

fn check(number: u32, version: u32) -> u32 {
    (number * 7 + version * 11 + 21) % 61
}
