//! Data that a variant contains in addition to its pixels.

/// Data for one variant. AVIF describes its colors by code points, not by a profile, and gets its XMP while it is encoded.
/// JPEG XL has fields for its color space too, and takes only XMP. GIF has neither.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Embedded<'a> {
    /// An ICC profile of at most 64 KB.
    pub(crate) profile: Option<&'a [u8]>,
    /// An XMP packet of at most 56 KB.
    pub(crate) xmp: Option<&'a [u8]>,
    /// EXIF as a TIFF structure, for a JPEG with the gain map of an Apple camera.
    pub(crate) exif: Option<&'a [u8]>,
    /// Metadata of ISO 21496-1, for a JPEG with a gain map and for the map.
    pub(crate) iso_gain_map: Option<&'a [u8]>,
}

impl Embedded<'_> {
    /// Bytes that the data take in a file, without the structures around them.
    pub(crate) fn len(&self) -> usize {
        [self.profile, self.xmp, self.exif, self.iso_gain_map].into_iter().flatten().map(<[u8]>::len).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Bytes of the structures around the data, at most.
pub(crate) const STRUCTURE_BYTES: usize = 256;
