#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "bits of a stream are moved between types of known width; each use is masked or bounded where it stands"
)]

mod entropy;
mod error;
mod header;
mod predict;
mod strip;
mod samples;
mod filter;
mod output;
mod decode;

pub use decode::decode;
pub use error::Error;
pub use header::Header;

/// Whether the edges of blocks are smoothed as the frame says (RFC 6386 section 15). Nothing else depends on it in a key frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Filter {
    /// They are: the picture as it is meant to be seen.
    #[default]
    Full,
    /// They are not, which takes less time: for planes that will be made so small that it cannot be seen.
    Skip,
}

/// What is refused, and before anything is allocated for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Width times height.
    pub pixels: u64,
}

impl Default for Limits {
    /// A hundred million pixels.
    fn default() -> Self {
        Self { pixels: 100_000_000 }
    }
}

/// What to do with a frame that ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Incomplete {
    /// Refuse it.
    #[default]
    Refuse,
    /// Keep the rows of macroblocks that are there; the rest is mid-grey.
    Keep,
}

/// How to decode.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// What to do with frames that end early.
    pub incomplete: Incomplete,
    /// Asked once a row of macroblocks; decoding ends when it says `false`.
    pub proceed: &'a dyn Fn() -> bool,
}

impl Default for Options<'_> {
    /// Incomplete frames are refused.
    fn default() -> Self {
        Self { incomplete: Incomplete::default(), proceed: &|| true }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("incomplete", &self.incomplete).finish_non_exhaustive()
    }
}

/// Samples of one component, row by row without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plane {
    /// 0 is Y, 1 is U, 2 is V.
    pub component: usize,
    /// Whether its edges have been smoothed.
    pub filter: Filter,
    /// In samples.
    pub width: u32,
    /// In samples.
    pub height: u32,
    /// `width * height` samples.
    pub data: Vec<u8>,
}
