//! The color and alpha layers of an image, and their tiles.

use std::borrow::Cow;

use crate::yuv_image::{ChromaSubsampling, Cicp};

/// The color image or the alpha image: tiles of equal size in row-major order, cropped at the right and the bottom.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    /// Size of the composed image in pixels.
    pub(crate) size: (u32, u32),
    pub(crate) tile_size: (u32, u32),
    pub(crate) columns: u32,
    /// One tile, or the tiles of a grid. Their number is a multiple of `columns`.
    pub(crate) tiles: Vec<Tile<'a>>,
    /// Bits per sample.
    pub(crate) depth: u8,
    pub(crate) sampling: ChromaSubsampling,
    /// The color description of the file.
    pub(crate) cicp: Option<Cicp>,
}

/// An AV1 codestream in one or several extents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile<'a> {
    pub(super) extents: Vec<&'a [u8]>,
}

/// A rectangle of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CropRect {
    pub(crate) x: u32,
    pub(crate) y: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl<'a> Tile<'a> {
    /// The codestream. Copied only if it has several extents.
    pub(crate) fn bytes(&self) -> Cow<'a, [u8]> {
        match self.extents.as_slice() {
            [whole] => Cow::Borrowed(whole),
            extents => Cow::Owned(extents.concat()),
        }
    }

    /// The first bytes of the codestream, at most `length`.
    pub(super) fn head(&self, length: usize) -> Vec<u8> {
        self.extents.iter().flat_map(|extent| *extent).take(length).copied().collect()
    }

    /// Length of the codestream in bytes.
    pub(crate) fn len(&self) -> usize {
        self.extents.iter().map(|extent| extent.len()).sum()
    }
}

impl Layer<'_> {
    /// Size in bytes of all decoded samples.
    pub(super) fn bytes(&self) -> u64 {
        planes_bytes(self.sampling, self.depth, self.size)
    }

    /// Size in bytes of the decoded samples of a tile, or 0 if the layer is a single tile.
    pub(super) fn tile_bytes(&self) -> u64 {
        if self.tile_size != self.size { planes_bytes(self.sampling, self.depth, self.tile_size) } else { 0 }
    }
}

fn planes_bytes(sampling: ChromaSubsampling, depth: u8, size: (u32, u32)) -> u64 {
    let plane = |n| {
        let (width, height) = sampling.plane_size(n, size);
        u64::from(width).saturating_mul(height.into())
    };
    let samples = (0..sampling.planes()).map(plane).fold(0, u64::saturating_add);
    samples.saturating_mul(if depth > 8 { 2 } else { 1 })
}
