//! Paths to variants and back: pure.
//!
//! A size-suffixed path names a [`Variant`]. This module knows no network, no store and no pixels.

use std::fmt;
use std::num::{NonZeroU8, NonZeroU32};
use std::sync::Arc;

/// The key of an object in a store.
///
/// UTF-8, 1 to 1024 bytes, no empty, `.` or `..` segment, no control characters (NUL among them), no backslash:
/// joined to a folder or prefix it cannot leave it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

/// Where a crop keeps the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Region {
    #[default]
    Center,
    Top,
    Bottom,
    Left,
    Right,
    TopLeft,
    TopRight,
    BottomLeft,
    BottomRight,
}

/// The shape that is asked for, in pixels. Nothing is ever enlarged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Geometry {
    /// Fit inside the box; a missing side is free. At least one is there.
    Fit { width: Option<NonZeroU32>, height: Option<NonZeroU32> },
    /// Cover the box and cut off what stands out.
    Crop { width: NonZeroU32, height: NonZeroU32, region: Region },
}

/// 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(NonZeroU8);

/// How the pixels are written; only lossy formats have a quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    Jpeg(Quality),
    Png,
    WebP(Quality),
}

/// What a size-suffixed path names. One canonical spelling, one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    pub original: ObjectKey,
    pub geometry: Geometry,
    pub encoding: Encoding,
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
