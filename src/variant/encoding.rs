//! Formats that are written, and their qualities. Knows no codec.

use std::num::NonZeroU8;

/// A format that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Jpeg,
    Png,
    WebP,
}

/// 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quality(NonZeroU8);

/// How the pixels are written; only lossy formats have a quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    Jpeg(Quality),
    Png,
    WebP(Quality),
}

impl Format {
    /// The extension of canonical URLs and storage keys, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }

    /// The media type for `Content-Type` (IANA registry, "image").
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }

    /// The format that an extension without its dot names, in any case of letters.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        let spellings = [("jpg", Self::Jpeg), ("jpeg", Self::Jpeg), ("png", Self::Png), ("webp", Self::WebP)];
        spellings.into_iter().find(|(name, _)| extension.eq_ignore_ascii_case(name)).map(|(_, format)| format)
    }

    /// The format that a media type names, in any case of letters (RFC 9110 section 8.3.1) and without parameters.
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        [Self::Jpeg, Self::Png, Self::WebP]
            .into_iter()
            .find(|format| media_type.eq_ignore_ascii_case(format.media_type()))
    }
}

impl Quality {
    /// `None` unless `n` is 1 to 100.
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
}

impl Encoding {
    #[must_use]
    pub const fn format(self) -> Format {
        match self {
            Self::Jpeg(_) => Format::Jpeg,
            Self::Png => Format::Png,
            Self::WebP(_) => Format::WebP,
        }
    }

    #[must_use]
    pub const fn quality(self) -> Option<Quality> {
        match self {
            Self::Jpeg(quality) | Self::WebP(quality) => Some(quality),
            Self::Png => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quality_is_1_to_100() {
        assert_eq!((Quality::new(0), Quality::new(101), Quality::new(255)), (None, None, None));
        assert_eq!(Quality::new(1).map(Quality::get), Some(1));
        assert_eq!(Quality::new(100).map(Quality::get), Some(100));
    }

    #[test]
    fn extensions_and_media_types_name_formats_in_any_case() {
        for format in [Format::Jpeg, Format::Png, Format::WebP] {
            assert_eq!(Format::from_extension(format.extension()), Some(format));
            assert_eq!(Format::from_media_type(format.media_type()), Some(format));
            assert_eq!(Format::from_media_type(&format.media_type().to_uppercase()), Some(format));
        }
        assert_eq!(Format::from_extension("JpEg"), Some(Format::Jpeg));
        assert_eq!(Format::from_extension("avif"), None);
        assert_eq!(Format::from_media_type("image/*"), None);
    }
}
