//! Decoded pixels, and a rectangle of them.

/// Decoded samples of 8 bits in row order without padding.
///
/// The number of `channels` gives the layout: 1 is gray, 2 gray and alpha, 3 RGB, 4 RGBA (or CMYK before the color
/// conversion). Alpha is not premultiplied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) channels: u8,
    pub(crate) data: Vec<u8>,
}

/// A rectangle in pixels. Its edges may lie between two pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}
