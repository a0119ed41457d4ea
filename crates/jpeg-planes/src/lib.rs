#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "bits of a stream are moved between types of known width; each use is masked or bounded where it stands"
)]

mod error;
mod header;
mod segments;
mod decode;
mod encode;

pub use decode::decode;
pub use encode::{EncodeError, PlaneRef, Subsampling, encode};
pub use error::Error;
pub use header::{Colour, Header, Sampling};

/// By how much a plane is smaller than what the file holds, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scale {
    /// 1/8: one sample a block.
    Eighth,
    /// 1/4: two by two samples a block.
    Quarter,
    /// 1/2: four by four samples a block.
    Half,
    /// 1/1: eight by eight samples a block.
    Whole,
}

impl Scale {
    /// All of them, the smallest plane first.
    pub const ALL: [Self; 4] = [Self::Eighth, Self::Quarter, Self::Half, Self::Whole];

    /// Samples that a block's side gives: 1, 2, 4 or 8.
    #[must_use]
    pub const fn points(self) -> usize {
        match self {
            Self::Eighth => 1,
            Self::Quarter => 2,
            Self::Half => 4,
            Self::Whole => 8,
        }
    }

    /// The last coefficient, in zigzag order, that the transform of this scale uses; those behind it are skipped.
    #[must_use]
    pub const fn last_coefficient(self) -> usize {
        match self {
            Self::Eighth => 0,
            Self::Quarter => 4,
            Self::Half => 24,
            Self::Whole => 63,
        }
    }
}

/// Scales at which a component is wanted: one, or several of which each costs only its own transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scales(u8);

impl From<Scale> for Scales {
    fn from(scale: Scale) -> Self {
        Self(1 << scale as u8)
    }
}

impl Scales {
    /// These and those of `other`.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Each of them, the smallest plane first.
    pub fn iter(self) -> impl Iterator<Item = Scale> {
        Scale::ALL.into_iter().filter(move |scale| self.0 & Self::from(*scale).0 != 0)
    }
}

/// What is refused, and before anything is allocated for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Width times height.
    pub pixels: u64,
    /// Scans; files of common encoders have up to ten or so.
    pub scans: u32,
    /// Marker segments.
    pub segments: u32,
}

impl Default for Limits {
    /// A hundred million pixels, 64 scans, 4096 segments.
    fn default() -> Self {
        Self { pixels: 100_000_000, scans: 64, segments: 4096 }
    }
}

/// What to do with a file that ends early or is damaged behind its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Incomplete {
    /// Refuse it.
    #[default]
    Refuse,
    /// Keep what can be decoded. What is missing is mid-grey, or coarse in a progressive file.
    Keep,
}

/// How to decode.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// The scales of each component. A plane is the same whether it comes alone or with others.
    pub scales: [Scales; 3],
    /// What to do with files that end early.
    pub incomplete: Incomplete,
    /// What is refused.
    pub limits: Limits,
    /// How much the samples of a block may be off, as a root of mean squares in levels of 256, where a progressive file's last
    /// scans only make its coefficients finer: such scans are left out while they cannot move them by more. 0 leaves out
    /// none that is used.
    pub tolerance: f32,
    /// Asked once a row of blocks; decoding ends when it says `false`.
    pub proceed: &'a dyn Fn() -> bool,
}

impl Default for Options<'_> {
    /// Whole size, nothing left out, incomplete files refused.
    fn default() -> Self {
        Self {
            scales: [Scales(1 << Scale::Whole as u8); 3],
            incomplete: Incomplete::default(),
            limits: Limits::default(),
            tolerance: 0.0,
            proceed: &|| true,
        }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("scales", &self.scales).finish_non_exhaustive()
    }
}

/// Samples of one component, row by row without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// Which component of the frame.
    pub component: usize,
    /// By how much it is smaller than what the file holds.
    pub scale: Scale,
    /// In samples.
    pub width: u32,
    /// In samples.
    pub height: u32,
    /// `width * height` samples.
    pub data: Vec<u8>,
}
