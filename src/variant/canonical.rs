//! From a variant to its canonical path and its key: the one spelling of each.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::parse::{FileName, PROGRESSIVE};
use super::{Grammar, ObjectKey, Variant};

/// What stands for itself in a path (RFC 3986 section 3.3, `pchar`, and the slash).
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
    /// For every variant that [`Grammar::parse`] gives, parsing this gives it back.
    #[must_use]
    pub fn show(&self, variant: &Variant) -> String {
        let key = variant.original.as_str();
        let (dir, name) = key.split_at(key.rfind('/').map_or(0, |slash| slash + 1));
        let file = self.split_name(name);
        let mut path = format!("/{}", utf8_percent_encode(dir, PATH));
        let format = variant.encoding.format();
        // Writing to a String cannot fail.
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

    /// Splits an original's name where a suffix goes: before its extension, or at its end where it has none or where
    /// what looks like one would be read as part of a suffix (`photo.progressive`, `photo.jpg_300x200`).
    fn split_name<'t>(&self, name: &'t str) -> FileName<'t> {
        let whole = FileName { stem: name, extension: "", converted: None };
        match name.rsplit_once('.') {
            None | Some(("", _) | (_, "")) => whole,
            Some((_, extension)) if extension == &PROGRESSIVE[1..] => whole,
            Some(_) if self.suffixes.at_the_end(name).is_some() => whole,
            Some((stem, extension)) => FileName { stem, extension, converted: None },
        }
    }
}

impl Variant {
    /// The key in the variants' store, below the original's: `photos/cat.jpg/300x200_crop_center_q80.webp`.
    ///
    /// Distinct variants have distinct keys, and those of one original share a prefix. At most 1024 bytes for
    /// variants that a [`Grammar`] parsed.
    #[must_use]
    pub fn storage_key(&self) -> ObjectKey {
        self.original.child(&format!("{}.{}", self.size_and_quality(), self.encoding.format().extension()))
    }

    /// `300x200_crop_center_q80`; no quality where the format has none.
    fn size_and_quality(&self) -> String {
        let mut text = self.geometry.to_string();
        if let Some(quality) = self.encoding.quality() {
            let _ = write!(text, "_q{}", quality.get());
        }
        text
    }
}
