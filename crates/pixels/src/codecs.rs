//! The file formats of originals, and sets of them.

use std::fmt;

use crate::encoding::Format;

/// File format of an original, detected from its bytes and not from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Jpeg,
    Png,
    WebP,
    Gif,
    Avif,
    Heic,
    JpegXl,
    Tiff,
    Bmp,
    Ico,
    Svg,
}

impl Codec {
    pub const ALL: [Self; 11] = [
        Self::Jpeg,
        Self::Png,
        Self::WebP,
        Self::Gif,
        Self::Avif,
        Self::Heic,
        Self::JpegXl,
        Self::Tiff,
        Self::Bmp,
        Self::Ico,
        Self::Svg,
    ];

    /// File extension without the dot; also the label in metrics.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::Avif => "avif",
            Self::Heic => "heic",
            Self::JpegXl => "jxl",
            Self::Tiff => "tif",
            Self::Bmp => "bmp",
            Self::Ico => "ico",
            Self::Svg => "svg",
        }
    }

    /// The same format as an output format; `None` if it is not written.
    pub(crate) const fn format(self) -> Option<Format> {
        match self {
            Self::Jpeg => Some(Format::Jpeg),
            Self::Png => Some(Format::Png),
            Self::WebP => Some(Format::WebP),
            Self::Gif => Some(Format::Gif),
            Self::Avif => Some(Format::Avif),
            Self::JpegXl => Some(Format::Jxl),
            Self::Heic | Self::Tiff | Self::Bmp | Self::Ico | Self::Svg => None,
        }
    }

    /// The name of the format in texts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Avif => "AVIF",
            Self::Heic => "HEIC",
            Self::JpegXl => "JPEG XL",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Ico => "ICO",
            Self::Svg => "SVG",
        }
    }

    /// Media type (IANA registry, "image").
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Avif => "image/avif",
            Self::Heic => "image/heic",
            Self::JpegXl => "image/jxl",
            Self::Tiff => "image/tiff",
            Self::Bmp => "image/bmp",
            Self::Ico => "image/x-icon",
            Self::Svg => "image/svg+xml",
        }
    }

    /// The format with this media type.
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.media_type() == media_type)
    }

    /// The format with this file extension without the dot, in any letter case.
    #[must_use]
    pub fn from_extension(extension: &str) -> Option<Self> {
        let is = |other: &str| extension.eq_ignore_ascii_case(other);
        let other_names = [("jpeg", Self::Jpeg), ("heif", Self::Heic), ("tiff", Self::Tiff)];
        let other = other_names.into_iter().find(|(name, _)| is(name)).map(|(_, codec)| codec);
        other.or_else(|| Self::ALL.into_iter().find(|codec| is(codec.extension())))
    }

    /// The cargo feature that builds the decoder; `None` if the decoder is always built.
    #[must_use]
    pub const fn feature(self) -> Option<&'static str> {
        match self {
            Self::Jpeg | Self::Png | Self::WebP | Self::Gif => None,
            Self::Avif => Some("avif-originals"),
            Self::Heic => Some("heic"),
            Self::JpegXl => Some("jxl-originals"),
            Self::Tiff => Some("tiff-originals"),
            Self::Bmp | Self::Ico => Some("bmp-originals"),
            Self::Svg => Some("svg-originals"),
        }
    }

    /// True if this build can decode the format.
    #[must_use]
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Jpeg | Self::Png | Self::WebP | Self::Gif => true,
            Self::Avif => cfg!(feature = "avif-originals"),
            Self::Heic => cfg!(feature = "heic"),
            Self::JpegXl => cfg!(feature = "jxl-originals"),
            Self::Tiff => cfg!(feature = "tiff-originals"),
            Self::Bmp | Self::Ico => cfg!(feature = "bmp-originals"),
            Self::Svg => cfg!(feature = "svg-originals"),
        }
    }

    /// True if the decoder runs in a [`Sandbox`](crate::Sandbox).
    #[must_use]
    pub const fn is_sandboxed(self) -> bool {
        self.feature().is_some()
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// A set of formats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Codecs(u16);

impl Codecs {
    /// All formats that this build can decode.
    pub const BUILT_IN: Self = {
        let (mut bits, mut n) = (0, 0);
        while n < Codec::ALL.len() {
            if Codec::ALL[n].is_built_in() {
                bits |= Codec::ALL[n].bit();
            }
            n += 1;
        }
        Self(bits)
    };

    /// The formats that are accepted by default: all that this build can decode but SVG, because a browser runs the scripts of
    /// a file that is served as it is.
    pub const DEFAULT: Self = Self(Self::BUILT_IN.0 & !Codec::Svg.bit());

    /// The same formats and one more.
    #[must_use]
    pub const fn with(self, codec: Codec) -> Self {
        Self(self.0 | codec.bit())
    }

    #[must_use]
    pub const fn contains(self, codec: Codec) -> bool {
        self.0 & codec.bit() != 0
    }

    /// The formats of the set, in the order of [`Codec::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Codec> {
        Codec::ALL.into_iter().filter(move |codec| self.contains(*codec))
    }
}

impl FromIterator<Codec> for Codecs {
    fn from_iter<I: IntoIterator<Item = Codec>>(codecs: I) -> Self {
        Self(codecs.into_iter().fold(0, |bits, codec| bits | codec.bit()))
    }
}

impl fmt::Debug for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The names of the formats, as a list in a sentence: `JPEG, PNG and GIF`.
impl fmt::Display for Codecs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.iter().count();
        for (n, codec) in self.iter().enumerate() {
            let separator = if n == 0 {
                ""
            } else if n + 1 == count {
                " and "
            } else {
                ", "
            };
            write!(f, "{separator}{}", codec.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_lists_its_formats_as_words() {
        let set: Codecs = [Codec::Gif, Codec::Jpeg, Codec::Png].into_iter().collect();
        assert_eq!(set.to_string(), "JPEG, PNG and GIF");
        assert!(set.contains(Codec::Png) && !set.contains(Codec::Avif));
        assert_eq!([Codec::Png].into_iter().collect::<Codecs>().to_string(), "PNG");
    }

    #[test]
    fn formats_have_distinct_names() {
        for codec in Codec::ALL {
            assert_eq!(Codec::from_media_type(codec.media_type()), Some(codec));
            assert_eq!(Codec::from_extension(codec.extension()), Some(codec));
            assert_eq!(Codec::ALL.iter().filter(|other| other.name() == codec.name()).count(), 1);
        }
        assert_eq!(Codec::from_extension("JPEG"), Some(Codec::Jpeg));
    }
}
