//! Pictures that encode their identity: 6 x 4 black or white fields hold a number, a version and a checksum. The fields survive
//! scaling and lossy compression.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Luma};

const COLUMNS: u32 = 6;
const ROWS: u32 = 4;
const FIELD: u32 = 80;

/// The number of a picture and its version.
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
        assert!(number < 64 && version < 4096, "{self:?} does not fit into a picture");
        (checksum(number, version) << 18) | (version << 6) | number
    }

    /// Draws this identity as a JPEG of 480 x 320 pixels.
    pub fn encode(self) -> Vec<u8> {
        let bits = self.bits();
        let picture = image::GrayImage::from_fn(COLUMNS * FIELD, ROWS * FIELD, |x, y| {
            let bit = y / FIELD * COLUMNS + x / FIELD;
            Luma([if bits >> bit & 1 == 1 { 225 } else { 30 }])
        });
        let mut bytes = Cursor::new(Vec::new());
        DynamicImage::from(picture).into_rgb8().write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    /// Reads identity, width and height from the pixels.
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
        if bits >> 18 != checksum(this.number, this.version) {
            return Err(format!("the checksum does not match: {bits:06x}"));
        }
        Ok((this, width, height))
    }
}

fn checksum(number: u32, version: u32) -> u32 {
    (number * 7 + version * 11 + 21) % 61
}
