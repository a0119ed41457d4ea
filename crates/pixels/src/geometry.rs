//! The shape that is asked for. Knows nothing of the original's shape: what comes out of both is for `resize`.

use std::fmt;

use super::Side;

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
    /// Where the picture is likely looked at first: the original's pixels decide.
    Smart,
}

/// The shape that is asked for, in pixels. Nothing is ever enlarged.
///
/// Displayed as it stands in storage keys and canonical URLs: `300x200`, `300x`, `x200`, `300x200_crop_center`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Geometry {
    /// Fit inside the box; a missing side is free. At least one is there.
    Fit { width: Option<Side>, height: Option<Side> },
    /// Cover the box and cut off what stands out.
    Crop { width: Side, height: Side, region: Region },
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

    /// The word for it in a URL, after `_crop_`.
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
    /// The sides that are given.
    pub(crate) fn sides(self) -> (Option<Side>, Option<Side>) {
        match self {
            Self::Fit { width, height } => (width, height),
            Self::Crop { width, height, .. } => (Some(width), Some(height)),
        }
    }

    /// The same shape with other sides.
    pub(crate) fn map(self, side: impl Fn(Side) -> Side) -> Self {
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
