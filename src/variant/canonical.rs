//! The canonical path and the storage key of a variant.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::parse::{FileName, PROGRESSIVE};
use super::{Grammar, ObjectKey, Variant};

/// Characters to encode in a path: all but `pchar` (RFC 3986 section 3.3) and the slash.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

impl Grammar {
    /// The canonical path, percent-encoded: `/photos/cat_300x200_crop_center_q80.jpg.webp`.
    ///
    /// Parsing it with [`Grammar::parse`] returns an equal variant.
    #[must_use]
    pub fn canonical_path(&self, variant: &Variant) -> String {
        let key = variant.original.as_str();
        let (dir, name) = key.split_at(key.rfind('/').map_or(0, |slash| slash + 1));
        let file = self.split_name(name);
        let mut path = format!("/{}", utf8_percent_encode(dir, PATH));
        let format = variant.encoding.format();
        // Writing to a string cannot fail.
        let _ = write!(path, "{}_{}", utf8_percent_encode(file.stem, PATH), variant.size_and_quality());
        if !file.extension.is_empty() {
            let _ = write!(path, ".{}", utf8_percent_encode(file.extension, PATH));
        }
        if file.format() != format {
            let dots = if file.extension.is_empty() { ".." } else { "." };
            let _ = write!(path, "{dots}{}", format.extension());
        }
        path
    }

    /// Splits the name of an original where a suffix is inserted: before its extension, or at its end if it has no extension
    /// or if the extension would be parsed as part of a suffix (`photo.progressive`, `photo.jpg_300x200`).
    fn split_name<'t>(&self, name: &'t str) -> FileName<'t> {
        let whole = FileName { stem: name, extension: "", converted: None };
        match name.rsplit_once('.') {
            None | Some(("", _) | (_, "")) => whole,
            Some((_, extension)) if extension == &PROGRESSIVE[1..] => whole,
            Some(_) if self.suffixes.parse_trailing(name).is_some() => whole,
            Some((stem, extension)) => FileName { stem, extension, converted: None },
        }
    }
}

impl Variant {
    /// The key in the variants' store, below the key of the original: `photos/cat.jpg/300x200_crop_center_q80.webp`.
    ///
    /// Distinct variants have distinct keys, and the variants of one original share a prefix. The key of a variant that a
    /// [`Grammar`] parsed has at most 1024 bytes.
    #[must_use]
    pub fn storage_key(&self) -> ObjectKey {
        self.original.child(&format!("{}.{}", self.size_and_quality(), self.encoding.format().extension()))
    }

    /// `300x200_crop_center_q80`, without the quality if the format has none.
    fn size_and_quality(&self) -> String {
        let mut text = self.geometry.to_string();
        if let Some(quality) = self.encoding.quality() {
            let _ = write!(text, "_q{}", quality.get());
        }
        text
    }
}
