//! The color and alpha layers of an image, and their tiles.

use std::borrow::Cow;

use crate::codecs::Codec;
use crate::yuv_image::{ChromaSubsampling, Cicp};

/// The coding of the images in a file. A file with images of another coding is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// AVIF.
    Av1,
    /// HEIC.
    Hevc,
}

impl Coding {
    /// The coding of a format; `None` if the format has another container.
    pub(crate) const fn from_codec(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Avif => Some(Self::Av1),
            Codec::Heic => Some(Self::Hevc),
            _ => None,
        }
    }

    /// The type of items with a codestream.
    pub(super) const fn item_kind(self) -> [u8; 4] {
        match self {
            Self::Av1 => *b"av01",
            Self::Hevc => *b"hvc1",
        }
    }

    /// Brands of files with such items (AV1 Image File Format, section 7; ISO/IEC 23008-12, annex B.4).
    pub(super) const fn brands(self) -> &'static [&'static [u8; 4]] {
        match self {
            Self::Av1 => &[b"avif", b"avis"],
            Self::Hevc => &[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"],
        }
    }

    /// Brands of files with an image sequence.
    pub(super) const fn sequence_brands(self) -> &'static [&'static [u8; 4]] {
        match self {
            Self::Av1 => &[b"avis"],
            Self::Hevc => &[b"hevc", b"hevx", b"hevm", b"hevs"],
        }
    }
}

/// The samples of a codestream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SampleFormat {
    /// Bits per sample.
    pub(super) depth: u8,
    pub(super) sampling: ChromaSubsampling,
    /// Size of the coded image, of which the decoder returns a part. `None` if the decoder returns all.
    pub(super) coded_size: Option<(u32, u32)>,
}

/// The color image or the alpha image: tiles of equal size in row-major order, cropped at the right and the bottom.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    /// Size of the composed image in pixels.
    pub(crate) size: (u32, u32),
    pub(crate) tile_size: (u32, u32),
    /// Size of the image that a decoder decodes for a tile, of which it returns a part.
    pub(crate) coded_size: (u32, u32),
    pub(crate) columns: u32,
    /// One tile, or the tiles of a grid. Their number is a multiple of `columns`.
    pub(crate) tiles: Vec<Tile<'a>>,
    /// Bits per sample.
    pub(crate) depth: u8,
    pub(crate) sampling: ChromaSubsampling,
    /// The color description of the file.
    pub(crate) cicp: Option<Cicp>,
}

/// The codestream of an image in one or several extents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tile<'a> {
    /// The decoder configuration of HEVC (`hvcC`); `None` for AV1, whose codestream contains it.
    pub(crate) config: Option<&'a [u8]>,
    pub(crate) extents: Vec<&'a [u8]>,
}

/// Upper bound on the boxes around a codestream in a file of one image.
const FILE_BYTES: usize = 1 << 10;

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

    /// Length of the copy that is made before the codestream is sent to its decoder. HEVC is put into a file.
    pub(crate) fn copied_bytes(&self) -> u64 {
        match (self.config, self.extents.as_slice()) {
            (None, [_]) => 0,
            (None, _) => self.len() as u64,
            (Some(config), _) => (self.len() + 2 * config.len() + FILE_BYTES) as u64,
        }
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
