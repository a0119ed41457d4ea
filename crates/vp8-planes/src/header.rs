//! The first ten bytes of a frame: frame tag, start code and size. Reading them allocates no memory.

use planes::{Error, Limits};

/// The parsed header of a frame that this crate can decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, 1 to 16,383.
    pub width: u32,
    /// Height in pixels, 1 to 16,383.
    pub height: u32,
    /// Size in bytes of the first partition, which contains the frame header and the prediction modes.
    pub(crate) first_partition: usize,
}

/// Number of bytes that [`Header::read`] reads.
pub(crate) const HEADER_BYTES: usize = 10;

impl Header {
    /// Reads the frame tag, the start code and the size (RFC 6386, section 9.1). The upscaling bits are ignored, as RFC
    /// 9649, section 2.5 requires.
    ///
    /// # Errors
    /// The data is not a VP8 key frame, or has more pixels than `limits.pixels`.
    pub fn read(data: &[u8], limits: &Limits) -> Result<Self, Error> {
        let wrong_format = Error::WrongFormat("VP8 key frame");
        let Some(&[t0, t1, t2, 0x9D, 0x01, 0x2A, w0, w1, h0, h1]) = data.first_chunk::<HEADER_BYTES>() else {
            return Err(wrong_format);
        };
        let tag = u32::from_le_bytes([t0, t1, t2, 0]);
        if tag & 1 != 0 {
            return Err(Error::Unsupported("a frame predicted from another frame"));
        }
        let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
        let (width, height) = (side([w0, w1]), side([h0, h1]));
        if width == 0 || height == 0 {
            return Err(Error::Damaged("zero width or height"));
        }
        if u64::from(width) * u64::from(height) > limits.pixels {
            return Err(Error::Limit { what: "pixels", max: limits.pixels });
        }
        Ok(Self { width, height, first_partition: (tag >> 5) as usize })
    }

    /// Columns and rows of macroblocks of 16 x 16 pixels.
    pub(crate) fn macroblocks(&self) -> (usize, usize) {
        (self.width.div_ceil(16) as usize, self.height.div_ceil(16) as usize)
    }

    /// Width and height of a plane: Y (0) has the size of the image, U (1) and V (2) half of it, rounded up.
    #[must_use]
    pub fn plane_size(&self, component: usize) -> (u32, u32) {
        let divisor = if component == 0 { 1 } else { 2 };
        (self.width.div_ceil(divisor), self.height.div_ceil(divisor))
    }

    /// Upper bound, in bytes, on the memory that [`decode`](crate::decode()) allocates for this number of loop filter
    /// settings.
    #[must_use]
    pub fn working_bytes(&self, filter_count: usize) -> u64 {
        let size = |component| {
            let (width, height) = self.plane_size(component);
            u64::from(width) * u64::from(height)
        };
        let planes = filter_count as u64 * (size(0) + size(1) + size(2));
        // Per column: the strips, modes and contexts of a row of macroblocks. Constant: margins and tables.
        let (columns, _) = self.macroblocks();
        planes + (columns as u64 + 2) * 1024 + 16 * 1024
    }
}
