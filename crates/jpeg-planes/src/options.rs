//! The scales of decoded planes and the options of [`decode`](crate::decode()).

use planes::{Incomplete, Limits};

/// A decoded plane, whose mode is its scale.
pub type Plane = planes::Plane<Scale>;

/// The size of a decoded plane relative to the stored component, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scale {
    /// 1/8: one sample per block.
    Eighth,
    /// 1/4: 2 x 2 samples per block.
    Quarter,
    /// 1/2: 4 x 4 samples per block.
    Half,
    /// 1/1: 8 x 8 samples per block.
    Full,
}

impl Scale {
    /// All scales in ascending order.
    pub const ALL: [Self; 4] = [Self::Eighth, Self::Quarter, Self::Half, Self::Full];

    /// Samples per block in each direction: 1, 2, 4 or 8.
    #[must_use]
    pub const fn points(self) -> usize {
        match self {
            Self::Eighth => 1,
            Self::Quarter => 2,
            Self::Half => 4,
            Self::Full => 8,
        }
    }

    /// Zigzag index of the last coefficient that the inverse transform of this scale uses. Later ones are skipped.
    #[must_use]
    pub const fn last_coefficient(self) -> usize {
        match self {
            Self::Eighth => 0,
            Self::Quarter => 4,
            Self::Half => 24,
            Self::Full => 63,
        }
    }
}

/// A non-empty set of scales. Each additional scale of a component costs only its inverse transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scales(u8);

impl From<Scale> for Scales {
    fn from(scale: Scale) -> Self {
        Self(1 << scale as u8)
    }
}

impl Scales {
    /// Only full scale.
    pub const FULL: Self = Self(1 << Scale::Full as u8);

    /// The scales that are in `self`, in `other` or in both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Iterates over the scales in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Scale> {
        Scale::ALL.into_iter().filter(move |scale| self.0 & Self::from(*scale).0 != 0)
    }
}

/// Decoding options.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Scales of each component. A plane's samples do not depend on the other scales in the set.
    pub scales: [Scales; 4],
    /// Treatment of truncated files.
    pub incomplete: Incomplete,
    /// Upper bounds on the file.
    pub limits: Limits,
    /// Permitted error of the samples in a block, as a root mean square on the scale 0 to 255. The decoder skips the
    /// last refinement scans of a progressive file while the error stays within the tolerance. At 0 it skips no scan
    /// that the requested scales use.
    pub tolerance: f32,
    /// Called once per row of blocks. Decoding stops with [`Error::Cancelled`](crate::Error::Cancelled) when it returns
    /// `false`.
    pub should_continue: &'a dyn Fn() -> bool,
}

impl Default for Options<'_> {
    /// Full scale, zero tolerance, truncated files refused.
    fn default() -> Self {
        Self {
            scales: [Scales::FULL; 4],
            incomplete: Incomplete::default(),
            limits: Limits::default(),
            tolerance: 0.0,
            should_continue: &|| true,
        }
    }
}

impl std::fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("scales", &self.scales).finish_non_exhaustive()
    }
}
