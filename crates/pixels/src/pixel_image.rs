//! Pixels that a sandboxed decoder returns, and the size and samples that are expected of an image.

use std::fmt;

use crate::yuv_image::YuvShape;

/// Size and samples of a decoded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageShape {
    Yuv(YuvShape),
    Pixels(PixelShape),
    /// Pixels with 16 bits per sample.
    DeepPixels(PixelShape),
}

/// Size and channels of a [`PixelImage`] or a [`DeepPixelImage`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelShape {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    pub layout: PixelLayout,
}

/// Channels of a pixel, in the order of their samples. Alpha is not premultiplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelLayout {
    Gray,
    GrayAlpha,
    Rgb,
    Rgba,
    /// The largest sample is full ink.
    Cmyk,
}

impl PixelLayout {
    pub const ALL: [Self; 5] = [Self::Gray, Self::GrayAlpha, Self::Rgb, Self::Rgba, Self::Cmyk];

    /// Number of samples of a pixel.
    #[must_use]
    pub const fn channels(self) -> u8 {
        match self {
            Self::Gray => 1,
            Self::GrayAlpha => 2,
            Self::Rgb => 3,
            Self::Rgba | Self::Cmyk => 4,
        }
    }
}

/// Pixels in row order without padding, in the stored orientation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelImage {
    pub shape: PixelShape,
    /// The ICC profile of the samples.
    pub profile: Option<Vec<u8>>,
    pub data: Vec<u8>,
}

/// Pixels with 16 bits per sample in row order without padding, in the stored orientation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeepPixelImage {
    pub shape: PixelShape,
    /// The ICC profile of the samples.
    pub profile: Option<Vec<u8>>,
    pub data: Vec<u16>,
}

impl fmt::Display for ImageShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yuv(shape) => shape.fmt(f),
            Self::Pixels(PixelShape { width, height, layout })
            | Self::DeepPixels(PixelShape { width, height, layout }) => {
                let layout = match layout {
                    PixelLayout::Gray => "gray",
                    PixelLayout::GrayAlpha => "gray with alpha",
                    PixelLayout::Rgb => "RGB",
                    PixelLayout::Rgba => "RGBA",
                    PixelLayout::Cmyk => "CMYK",
                };
                let bits = if matches!(self, Self::DeepPixels(_)) { " of 16 bits" } else { "" };
                write!(f, "{width}x{height} pixels{bits} in {layout}")
            }
        }
    }
}
