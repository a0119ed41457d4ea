//! Requested geometry of a variant, independent of the size of the original.

use std::fmt;
use std::num::NonZeroU32;

/// Part of the image that a crop keeps.
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
    /// The most salient part, found by analyzing the pixels.
    Smart,
}

/// Requested geometry in pixels. Images are never enlarged.
///
/// The `Display` form is the one in storage keys and canonical URLs: `300x200`, `300x`, `x200`, `300x200_crop_center`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Geometry {
    /// Fit inside the box. A missing side is unconstrained; at least one is given.
    Fit { width: Option<NonZeroU32>, height: Option<NonZeroU32> },
    /// Cover the box and crop the rest.
    Crop { width: NonZeroU32, height: NonZeroU32, region: Region },
}

impl Region {
    pub const ALL: [Self; 10] = [
        Self::Center,
        Self::Top,
        Self::Bottom,
        Self::Left,
        Self::Right,
        Self::TopLeft,
        Self::TopRight,
        Self::BottomLeft,
        Self::BottomRight,
        Self::Smart,
    ];

    /// Name in URLs, after `_crop_`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Center => "center",
            Self::Top => "top",
            Self::Bottom => "bottom",
            Self::Left => "left",
            Self::Right => "right",
            Self::TopLeft => "top_left",
            Self::TopRight => "top_right",
            Self::BottomLeft => "bottom_left",
            Self::BottomRight => "bottom_right",
            Self::Smart => "smart",
        }
    }
}

impl Geometry {
    /// The given sides.
    #[must_use]
    pub fn sides(self) -> (Option<NonZeroU32>, Option<NonZeroU32>) {
        match self {
            Self::Fit { width, height } => (width, height),
            Self::Crop { width, height, .. } => (Some(width), Some(height)),
        }
    }

    /// The same geometry with each side replaced by `side(side)`.
    #[must_use]
    pub fn map(self, side: impl Fn(NonZeroU32) -> NonZeroU32) -> Self {
        match self {
            Self::Fit { width, height } => Self::Fit { width: width.map(&side), height: height.map(&side) },
            Self::Crop { width, height, region } => Self::Crop { width: side(width), height: side(height), region },
        }
    }
}

impl fmt::Display for Geometry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fit { width, height } => {
                if let Some(width) = width {
                    write!(f, "{width}")?;
                }
                f.write_str("x")?;
                if let Some(height) = height {
                    write!(f, "{height}")?;
                }
                Ok(())
            }
            Self::Crop { width, height, region } => write!(f, "{width}x{height}_crop_{}", region.as_str()),
        }
    }
}
