//! A decoded original: pixels, or planes that can be scaled without conversion to pixels.

use crate::codec::planes::ColorPlanes;
use crate::pixels::Pixels;
use crate::transform::color::Conversion;

/// A decoded original.
pub(crate) enum Decoded {
    Pixels(DecodedPixels),
    Planes(DecodedPlanes),
}

impl Decoded {
    /// The color conversion of the samples.
    pub(crate) fn conversion(&self) -> &Conversion {
        match self {
            Self::Pixels(decoded) => &decoded.conversion,
            Self::Planes(decoded) => &decoded.conversion,
        }
    }
}

/// Pixels of the whole image in the stored orientation, and their color conversion.
pub(crate) struct DecodedPixels {
    pub(crate) pixels: Pixels,
    pub(crate) conversion: Conversion,
}

/// Planes of the whole image in the stored orientation, and their color conversion.
pub(crate) struct DecodedPlanes {
    pub(crate) planes: ColorPlanes,
    pub(crate) conversion: Conversion,
}
