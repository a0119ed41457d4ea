//! Properties of an image that its header states.

use image::metadata::Orientation;

/// Properties of an image, read from its header without decoding pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageInfo {
    /// Width in pixels as stored, before the orientation is applied.
    pub width: u32,
    /// Height in pixels as stored, before the orientation is applied.
    pub height: u32,
    /// Transformation that makes the stored pixels upright (EXIF 2.32, tag 274).
    pub orientation: Orientation,
    /// Number of frames; 1 for a still image. For an animated JPEG XL, an upper bound, because its header does not state it.
    pub frames: u32,
    /// Bytes per decoded pixel.
    pub(crate) pixel_bytes: u8,
    /// Bytes per pixel that the decoder needs in addition to the decoded pixels.
    pub(crate) codec_bytes: u8,
    /// True if the decoder can return 16 bits per sample, and the original has more than 8.
    pub(crate) is_deep: bool,
    /// True if chroma is known to be subsampled. JPEG and lossy WebP are not marked.
    pub(crate) is_subsampled: bool,
    /// Bytes that the decoder needs in addition to those per pixel.
    pub(crate) extra_bytes: u64,
    /// Upper bound on the size of the ICC profile; 0 if there is none.
    pub(crate) profile_bytes: u64,
}

impl Default for ImageInfo {
    fn default() -> Self {
        let orientation = Orientation::NoTransforms;
        let (pixel_bytes, codec_bytes, extra_bytes, profile_bytes) = (0, 0, 0, 0);
        Self {
            width: 0,
            height: 0,
            orientation,
            frames: 1,
            pixel_bytes,
            codec_bytes,
            is_deep: false,
            is_subsampled: false,
            extra_bytes,
            profile_bytes,
        }
    }
}

impl ImageInfo {
    /// Width and height of the upright image.
    #[must_use]
    pub fn oriented_size(&self) -> (u32, u32) {
        oriented_size((self.width, self.height), self.orientation)
    }
}

/// Width and height after `orientation` has been applied.
pub(crate) fn oriented_size((width, height): (u32, u32), orientation: Orientation) -> (u32, u32) {
    match orientation {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => (width, height),
    }
}
