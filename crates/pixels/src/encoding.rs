//! Output formats and their qualities.

use std::num::NonZeroU8;

/// An output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Jpeg,
    Png,
    WebP,
    Avif,
    Jxl,
    Gif,
}

/// Encoder quality from 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(NonZeroU8);

/// Bits per sample of an AVIF: 8 or 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "u8", into = "u8"))]
pub enum AvifDepth {
    Eight,
    Ten,
}

/// An output format with its quality. Only lossy formats have a quality; WebP and JPEG XL at quality 100 are lossless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    Jpeg(Quality),
    Png,
    WebP(Quality),
    Avif(Quality),
    Jxl(Quality),
    Gif,
}

impl Format {
    /// Formats that this build can encode.
    pub const SUPPORTED: &[Self] = &[
        Self::Jpeg,
        Self::Png,
        Self::WebP,
        #[cfg(feature = "avif")]
        Self::Avif,
        #[cfg(feature = "jxl-variants")]
        Self::Jxl,
        Self::Gif,
    ];

    /// File extension without the dot, as in canonical URLs and storage keys.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Avif => "avif",
            Self::Jxl => "jxl",
            Self::Gif => "gif",
        }
    }

    /// True if the format supports animation.
    #[must_use]
    pub const fn supports_animation(self) -> bool {
        matches!(self, Self::WebP | Self::Gif)
    }

    /// Media type (IANA registry, "image").
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Avif => "image/avif",
            Self::Jxl => "image/jxl",
            Self::Gif => "image/gif",
        }
    }

    /// Format of a file extension without the dot, in any letter case.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        if extension.eq_ignore_ascii_case("jpeg") {
            return Some(Self::Jpeg);
        }
        Self::SUPPORTED.iter().copied().find(|format| extension.eq_ignore_ascii_case(format.extension()))
    }

    /// Format of a variant whose URL names only the extension of its original: the same format if it can be written, PNG
    /// for graphics and JPEG for photographs. `None` if the extension is not one of images.
    #[must_use]
    pub fn for_original(extension: &str) -> Option<Self> {
        let is_one_of = |extensions: &[&str]| extensions.iter().any(|known| extension.eq_ignore_ascii_case(known));
        let is_graphics = || is_one_of(&["bmp", "ico", "svg"]).then_some(Self::Png);
        let is_photograph = || is_one_of(&["heic", "heif", "jxl", "tif", "tiff"]).then_some(Self::Jpeg);
        Self::from_extension(extension).or_else(is_graphics).or_else(is_photograph)
    }

    /// Format of a media type without parameters, in any letter case (RFC 9110 section 8.3.1).
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        Self::SUPPORTED.iter().copied().find(|format| media_type.eq_ignore_ascii_case(format.media_type()))
    }
}

impl AvifDepth {
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::Eight => 8,
            Self::Ten => 10,
        }
    }

    /// The largest sample: white, or opaque.
    #[must_use]
    pub const fn sample_max(self) -> u16 {
        (1 << self.bits()) - 1
    }
}

impl TryFrom<u8> for AvifDepth {
    type Error = &'static str;

    fn try_from(bits: u8) -> Result<Self, Self::Error> {
        match bits {
            8 => Ok(Self::Eight),
            10 => Ok(Self::Ten),
            _ => Err("AVIF has 8 or 10 bits per sample here"),
        }
    }
}

impl From<AvifDepth> for u8 {
    fn from(depth: AvifDepth) -> Self {
        depth.bits()
    }
}

impl Quality {
    /// `None` unless `n` is in the range 1 to 100.
    #[must_use]
    pub const fn new(n: u8) -> Option<Self> {
        match NonZeroU8::new(n) {
            Some(n) if n.get() <= 100 => Some(Self(n)),
            _ => None,
        }
    }

    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// True if a format that has a lossless mode uses it.
    #[must_use]
    pub const fn is_lossless(self) -> bool {
        self.0.get() == 100
    }
}

impl Encoding {
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Jpeg(_) => Format::Jpeg,
            Self::Png => Format::Png,
            Self::WebP(_) => Format::WebP,
            Self::Avif(_) => Format::Avif,
            Self::Jxl(_) => Format::Jxl,
            Self::Gif => Format::Gif,
        }
    }

    #[must_use]
    pub const fn quality(self) -> Option<Quality> {
        match self {
            Self::Jpeg(quality) | Self::WebP(quality) | Self::Avif(quality) | Self::Jxl(quality) => Some(quality),
            Self::Png | Self::Gif => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_is_between_1_and_100() {
        assert_eq!((Quality::new(0), Quality::new(101), Quality::new(255)), (None, None, None));
        assert_eq!(Quality::new(1).map(Quality::get), Some(1));
        assert_eq!(Quality::new(100).map(Quality::get), Some(100));
    }

    #[test]
    fn extensions_and_media_types_match_in_any_letter_case() {
        for &format in Format::SUPPORTED {
            assert_eq!(Format::from_extension(format.extension()), Some(format));
            assert_eq!(Format::from_media_type(format.media_type()), Some(format));
            assert_eq!(Format::from_media_type(&format.media_type().to_uppercase()), Some(format));
        }
        assert_eq!(Format::from_extension("JpEg"), Some(Format::Jpeg));
        assert_eq!(Format::from_extension("heic"), None);
        assert_eq!(Format::from_media_type("image/*"), None);
    }
}
