//! What a frame says of itself in its first ten bytes. Nothing is allocated.

use crate::Limits;
use crate::error::Error;

/// A header that has been read, of a frame that is decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// In pixels, 1 to 16,383.
    pub width: u32,
    /// In pixels, 1 to 16,383.
    pub height: u32,
    /// Bytes of the partition that has the modes.
    pub(crate) first_partition: usize,
}

/// Bytes of what [`Header::read`] reads.
pub(crate) const HEADER_BYTES: usize = 10;

impl Header {
    /// Reads the frame tag, the start code and the size (RFC 6386 section 9.1). The bits that ask for a picture to be shown larger
    /// are passed over, as RFC 9649 section 2.5 has it.
    ///
    /// # Errors
    /// No key frame of VP8, or more pixels than `limits`.
    pub fn read(data: &[u8], limits: &Limits) -> Result<Self, Error> {
        let &[a, b, c, 0x9D, 0x01, 0x2A, w0, w1, h0, h1] = data.first_chunk::<HEADER_BYTES>().ok_or(Error::NotVp8)?
        else {
            return Err(Error::NotVp8);
        };
        let tag = u32::from_le_bytes([a, b, c, 0]);
        if tag & 1 != 0 {
            return Err(Error::Unsupported("made of another frame"));
        }
        let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3FFF);
        let (width, height) = (side([w0, w1]), side([h0, h1]));
        if width == 0 || height == 0 {
            return Err(Error::Damaged("it has no pixels"));
        }
        if u64::from(width) * u64::from(height) > limits.pixels {
            return Err(Error::Limit { what: "pixels", max: limits.pixels });
        }
        Ok(Self { width, height, first_partition: (tag >> 5) as usize })
    }

    /// Macroblocks of 16 x 16 pixels, across and down.
    pub(crate) fn macroblocks(&self) -> (usize, usize) {
        (self.width.div_ceil(16) as usize, self.height.div_ceil(16) as usize)
    }

    /// Width and height of a plane: Y (0) has the picture's size, U (1) and V (2) half of it, each side rounded up.
    #[must_use]
    pub fn plane_size(&self, component: usize) -> (u32, u32) {
        let part = if component == 0 { 1 } else { 2 };
        (self.width.div_ceil(part), self.height.div_ceil(part))
    }

    /// An upper bound, in bytes, of what [`decode`](crate::decode) allocates for planes that are filtered in this many ways.
    #[must_use]
    pub fn working_bytes(&self, ways: usize) -> u64 {
        let size = |component| {
            let (width, height) = self.plane_size(component);
            u64::from(width) * u64::from(height)
        };
        let planes = ways as u64 * (size(0) + size(1) + size(2));
        // Lines of a row of macroblocks with those above, modes, and what the neighbours had; margins and tables.
        let (across, _) = self.macroblocks();
        planes + (across as u64 + 2) * 1024 + 16 * 1024
    }
}

/// Steps of one segment's quantizers, of DC and of the others (section 14.1).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Steps {
    pub(crate) luma: [i32; 2],
    pub(crate) dcs: [i32; 2],
    pub(crate) chroma: [i32; 2],
}
