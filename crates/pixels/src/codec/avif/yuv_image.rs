//! A picture as AV1 codes it, between the process that decodes it and what makes pixels or planes of it.

/// Planes of one coded picture, cropped to the picture's size, rows without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coded {
    /// In pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits of a sample: 8, 10 or 12.
    pub(crate) depth: u8,
    pub(crate) sampling: Sampling,
    /// Of the sequence header (AV1 section 6.4.2); what the container says wins over it.
    pub(crate) colour: Cicp,
    /// Luma alone if the sampling is grey, else luma and the differences of blue and red.
    pub(crate) planes: Vec<Samples>,
}

/// The samples of a plane, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Samples {
    /// Of eight bits.
    Eight(Vec<u8>),
    /// Of more than eight bits, in the lowest ones.
    More(Vec<u16>),
}

impl Samples {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Eight(samples) => samples.len(),
            Self::More(samples) => samples.len(),
        }
    }
}

/// How many pixels a sample of chroma stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// 4:0:0: there is no chroma.
    Grey,
    /// 4:2:0: two across and two down.
    Halved,
    /// 4:2:2: two across.
    Narrowed,
    /// 4:4:4: one.
    Full,
}

impl Sampling {
    /// One plane, or three.
    pub(crate) const fn planes(self) -> usize {
        if matches!(self, Self::Grey) { 1 } else { 3 }
    }

    /// The size of plane `n` of a picture of `width` and `height`; halves are rounded up (AV1 section 5.9.2, 7.11.2).
    pub(crate) const fn plane_size(self, n: usize, (width, height): (u32, u32)) -> (u32, u32) {
        match self {
            Self::Halved if n > 0 => (width.div_ceil(2), height.div_ceil(2)),
            Self::Narrowed if n > 0 => (width.div_ceil(2), height),
            _ => (width, height),
        }
    }
}

/// Code points for what numbers mean as colours (ITU-T H.273 section 8), as AV1 and HEIF have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cicp {
    pub(crate) primaries: u16,
    pub(crate) transfer: u16,
    pub(crate) matrix: u16,
    /// Whether samples use all levels rather than those from 16 to 235 and 240 (of eight bits).
    pub(crate) full_range: bool,
}

impl Cicp {
    /// Nothing is said (ITU-T H.273: 2 in each table).
    pub(crate) const UNSPECIFIED: Self = Self { primaries: 2, transfer: 2, matrix: 2, full_range: false };
}
