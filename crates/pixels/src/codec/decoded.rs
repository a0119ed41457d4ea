//! A decoded original: pixels, or planes that can be scaled without conversion to pixels.

use crate::codec::planes::ColorPlanes;
use crate::pixels::Pixels;
use crate::transform::color::{Conversion, DeepConversion};

/// A decoded original.
pub(crate) enum Decoded {
    Pixels(DecodedPixels),
    Planes(DecodedPlanes),
    Deep(DeepPixels),
}

impl Decoded {
    /// The color conversion of the samples, reduced to 8 bits.
    pub(crate) fn conversion(&self) -> &Conversion {
        match self {
            Self::Pixels(decoded) => &decoded.conversion,
            Self::Planes(decoded) => &decoded.conversion,
            Self::Deep(decoded) => decoded.conversion.eight_bits(),
        }
    }
}

/// Pixels of the whole image in the stored orientation, and their color conversion.
pub(crate) struct DecodedPixels {
    pub(crate) pixels: Pixels,
    pub(crate) conversion: Conversion,
}

/// Pixels of the whole image with 16 bits per sample, in the stored orientation, and their color conversion.
pub(crate) struct DeepPixels {
    pub(crate) pixels: Pixels<u16>,
    pub(crate) conversion: DeepConversion,
}

/// Planes of the whole image in the stored orientation, and their color conversion.
pub(crate) struct DecodedPlanes {
    pub(crate) planes: ColorPlanes,
    pub(crate) conversion: Conversion,
}
