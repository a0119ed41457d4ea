//! The first five bytes of a VP8L stream: signature, size and alpha. Reading them allocates no memory.

use planes::{Error, Limits};

use crate::prefix_groups;

/// The parsed header of a VP8L stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Width in pixels, 1 to 16,384.
    pub width: u32,
    /// Height in pixels, 1 to 16,384.
    pub height: u32,
    /// The hint that some pixels are not opaque. It does not change the decoded samples.
    pub has_alpha: bool,
}

/// Number of bytes that [`Header::read`] reads.
pub(crate) const HEADER_BYTES: usize = 5;

impl Header {
    /// Reads the signature, the size, the alpha hint and the version (RFC 9649, section 3.4).
    ///
    /// # Errors
    /// The data is not a VP8L stream of version 0, or has more pixels than `limits.pixels`.
    pub fn read(data: &[u8], limits: &Limits) -> Result<Self, Error> {
        let Some(&[0x2F, b0, b1, b2, b3]) = data.first_chunk::<HEADER_BYTES>() else {
            return Err(Error::WrongFormat("VP8L stream"));
        };
        let bits = u32::from_le_bytes([b0, b1, b2, b3]);
        let side = |shift: u32| 1 + ((bits >> shift) & 0x3FFF);
        let header = Self { width: side(0), height: side(14), has_alpha: (bits >> 28) & 1 == 1 };
        if bits >> 29 != 0 {
            return Err(Error::Unsupported("a version of VP8L other than 0"));
        }
        if u64::from(header.width) * u64::from(header.height) > limits.pixels {
            return Err(Error::Limit { what: "pixels", max: limits.pixels });
        }
        Ok(header)
    }

    /// See [`working_bytes`].
    #[must_use]
    pub fn working_bytes(&self) -> u64 {
        working_bytes(self.width, self.height)
    }
}

/// Upper bound, in bytes, on the memory that [`decode`](crate::decode()) allocates for an image of this size, including
/// the decoded pixels.
#[must_use]
pub fn working_bytes(width: u32, height: u32) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    // The smallest tiles have 4 x 4 pixels.
    let tiles = u64::from(width.div_ceil(4)) * u64::from(height.div_ceil(4));
    // The images of the predictor and the color transform, and the image of prefix codes with its list of numbers.
    let tile_bytes = 4 + 4 + 4 + 2;
    // Constant: the tables of one code, the color cache, the palette, and the numbers of all prefix codes.
    4 * pixels + tile_bytes * tiles + prefix_groups::bytes_max(tiles) + (1 << 19)
}
