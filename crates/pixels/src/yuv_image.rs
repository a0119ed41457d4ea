//! An image as AV1 and HEVC code it: YUV planes of 8 to 12 bits. It is the result of the sandboxed decoders.

use std::fmt;

/// Planes of one image, cropped to the size of the image, in row order without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YuvImage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bits per sample: 8, 10 or 12.
    pub depth: u8,
    pub sampling: ChromaSubsampling,
    /// Color description of the AV1 sequence header (section 6.4.2) or the HEVC parameter sets (ITU-T H.265, annex E.3.1).
    /// The color description of the container overrides it.
    pub cicp: Cicp,
    /// Y alone for 4:0:0, else Y, Cb and Cr.
    pub planes: Vec<YuvSamples>,
}

impl YuvImage {
    /// Size and sample format.
    #[must_use]
    pub const fn shape(&self) -> YuvShape {
        YuvShape { width: self.width, height: self.height, depth: self.depth, sampling: self.sampling }
    }
}

/// Size and sample format of a [`YuvImage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YuvShape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bits per sample: 8, 10 or 12.
    pub depth: u8,
    pub sampling: ChromaSubsampling,
}

impl fmt::Display for YuvShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, depth, sampling } = self;
        let sampling = match sampling {
            ChromaSubsampling::Cs400 => "4:0:0",
            ChromaSubsampling::Cs420 => "4:2:0",
            ChromaSubsampling::Cs422 => "4:2:2",
            ChromaSubsampling::Cs444 => "4:4:4",
        };
        write!(f, "{width}x{height} pixels of {depth} bits in {sampling}")
    }
}

/// The samples of one plane in row order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum YuvSamples {
    /// Samples of 8 bits.
    U8(Vec<u8>),
    /// Samples of 10 or 12 bits, in the low bits.
    U16(Vec<u16>),
}

impl YuvSamples {
    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(samples) => samples.len(),
            Self::U16(samples) => samples.len(),
        }
    }

    /// True if there is no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Chroma subsampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChromaSubsampling {
    /// 4:0:0: no chroma.
    Cs400,
    /// 4:2:0: half the width and half the height.
    Cs420,
    /// 4:2:2: half the width.
    Cs422,
    /// 4:4:4: no subsampling.
    Cs444,
}

impl ChromaSubsampling {
    /// Number of planes: 1 or 3.
    #[must_use]
    pub const fn planes(self) -> usize {
        if matches!(self, Self::Cs400) { 1 } else { 3 }
    }

    /// Size of plane `n` of an image of `width` and `height`. Halves are rounded up (AV1 sections 5.9.2 and 7.11.2).
    #[must_use]
    pub const fn plane_size(self, n: usize, (width, height): (u32, u32)) -> (u32, u32) {
        match self {
            Self::Cs420 if n > 0 => (width.div_ceil(2), height.div_ceil(2)),
            Self::Cs422 if n > 0 => (width.div_ceil(2), height),
            _ => (width, height),
        }
    }
}

/// Color description by code points (ITU-T H.273 section 8), as in AV1 and HEIF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cicp {
    pub primaries: u16,
    pub transfer: u16,
    pub matrix: u16,
    /// True if samples use the full range instead of 16 to 235 (luma) and 16 to 240 (chroma) of 8 bits.
    pub full_range: bool,
}

impl Cicp {
    /// All code points unspecified (ITU-T H.273: 2 in each table).
    pub const UNSPECIFIED: Self = Self { primaries: 2, transfer: 2, matrix: 2, full_range: false };
}
