//! From a request's path to what it names. Does not know whether any of it exists.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::suffix::{Ask, SideTooLarge};
use super::{Allowance, Format, Grammar, KeyError, ObjectKey, Variant};

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// An original as it is.
    Object(ObjectKey, Hint),
    Variant(Addressed),
}

impl Named {
    /// The whole decoded path as a key.
    #[must_use]
    pub fn literal(&self) -> &ObjectKey {
        match self {
            Self::Object(key, _) => key,
            Self::Variant(addressed) => &addressed.literal,
        }
    }
}

/// A variant, and what the way it was addressed says beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addressed {
    pub variant: Variant,
    /// The whole decoded path as a key, to be tried when the variant's original does not exist: an original may
    /// really be called `LoneStar_1920x1080.png`.
    pub literal: ObjectKey,
    /// Whether the client's `Accept` chooses the format: `formats.negotiate` is set and the URL does not convert.
    pub negotiable: bool,
    /// Whether `[sizes]` lets clients ask for it.
    pub allowance: Allowance,
}

/// Why a path that looks much like a variant is a plain object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    None,
    /// It ends as a size suffix does, but a side is over `limits.max_side`.
    SideTooLarge,
}

/// Why a path names nothing. The messages are fit for the client: they say what to fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path has to start with a slash")]
    NotAbsolute,
    #[error("a `%` in the path is not followed by two hexadecimal digits: write %25 for a percent sign")]
    BadEscape,
    #[error("the path is not UTF-8 once percent-decoded: encode names as UTF-8")]
    NotUtf8,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("this path is kept for the proxy's own files: ask for the original with a size in its name")]
    Reserved,
    #[error("the original's key has {bytes} bytes and {max} is the most that leaves room for a size: shorten it")]
    NoRoomForSize { bytes: usize, max: usize },
}

impl Grammar {
    /// Reads a request's path, still percent-encoded; a query is ignored.
    ///
    /// Decoded once (RFC 3986 section 2.4): `%2F` is a slash like any other, as no key could say otherwise; `%252F`
    /// is the text `%2F`; `+` is a plus.
    ///
    /// # Errors
    /// The path is no key, or one that clients may not address.
    pub fn parse(&self, path: &str) -> Result<Named, PathError> {
        let path = path.split_once('?').map_or(path, |(path, _query)| path);
        let path = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let literal = ObjectKey::new(&decode(path)?)?;
        self.reserved_keys.check_original(&literal)?;
        if self.reserved_keys.contains(&literal) {
            return Err(PathError::Reserved);
        }
        let (original, file, ask) = match self.read(literal.as_str()) {
            None => return Ok(Named::Object(literal, Hint::None)),
            Some((.., Err(SideTooLarge))) => return Ok(Named::Object(literal, Hint::SideTooLarge)),
            Some((original, file, Ok(ask))) => (original, file, ask),
        };
        // Without its suffix a name can be `.` or `..`: then it was no suffix.
        let Ok(original) = ObjectKey::new(&original) else { return Ok(Named::Object(literal, Hint::None)) };
        if self.reserved_keys.contains(&original) {
            return Err(PathError::Reserved);
        }
        self.reserved_keys.check_parent(&original).map_err(no_room)?;
        let encoding = self.encoding(file.format(), ask.quality);
        let negotiable = file.converted.is_none() && !self.negotiated().is_empty();
        let variant = Variant { original, geometry: ask.geometry, encoding };
        let allowance = self.allowance(&variant);
        Ok(Named::Variant(Addressed { variant, literal, negotiable, allowance }))
    }

    /// The original's key, its name, and what is asked for, as far as the last segments say anything.
    ///
    /// A file name's suffix goes before a segment's; the segment then is a folder like any other.
    fn read<'t>(&self, key: &'t str) -> Option<(Cow<'t, str>, FileName<'t>, Result<Ask, SideTooLarge>)> {
        let (dir, name) = key.rsplit_once('/').map_or(("", key), |(dir, name)| (dir, name));
        let by_name = self.read_name(name);
        if self.segment && !matches!(by_name, Some((_, Ok(_)))) {
            let (dir, segment) = dir.rsplit_once('/').unwrap_or(("", dir));
            if let Some(ask) = self.suffixes.whole(segment) {
                let original = if dir.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{dir}/{name}")) };
                return Some((original, FileName::plain(name), ask));
            }
        }
        let (file, ask) = by_name?;
        let mut original = String::with_capacity(key.len());
        original.push_str(&key[..key.len() - name.len()]);
        file.push_to(&mut original);
        Some((Cow::Owned(original), file, ask))
    }

    /// Finds the last suffix of a file name: at its very end, before its extension, or before two of which the last
    /// is a format.
    pub(super) fn read_name<'t>(&self, name: &'t str) -> Option<(FileName<'t>, Result<Ask, SideTooLarge>)> {
        if let Some((stem, ask)) = self.suffixes.at_the_end(name) {
            return Some((FileName { stem, extension: "", converted: None }, ask));
        }
        let (head, extension) = name.rsplit_once('.').filter(|(_, extension)| !extension.is_empty())?;
        if let Some((stem, ask)) = self.suffixes.at_the_end(without_progressive(head)) {
            return Some((FileName { stem, extension, converted: None }, ask));
        }
        let converted = Some(Format::from_extension(extension)?);
        let (head, extension) = head.rsplit_once('.')?;
        let (stem, ask) = self.suffixes.at_the_end(without_progressive(head))?;
        Some((FileName { stem, extension, converted }, ask))
    }
}

/// An original's name in two parts, and the format a second extension named.
pub(super) struct FileName<'t> {
    pub stem: &'t str,
    /// Without its dot. Empty means none, so `cat_300x200..webp` is `cat` as WebP.
    pub extension: &'t str,
    pub converted: Option<Format>,
}

impl<'t> FileName<'t> {
    /// A name without a suffix, as the segment dialect has it. Its last extension is its own, never a conversion:
    /// with no suffix between them, nothing tells `photo.png` as WebP from an original called `photo.png.webp`.
    fn plain(name: &'t str) -> Self {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        Self { stem, extension, converted: None }
    }

    /// JPEG where the name says nothing that is written.
    pub(super) fn format(&self) -> Format {
        self.converted.or_else(|| Format::from_extension(self.extension)).unwrap_or(Format::Jpeg)
    }

    fn push_to(&self, key: &mut String) {
        key.push_str(self.stem);
        if !self.extension.is_empty() {
            key.push('.');
            key.push_str(self.extension);
        }
    }
}

/// Shopify's `_1000x.progressive.jpg`: every JPEG may be progressive or not, so the word changes nothing.
fn without_progressive(head: &str) -> &str {
    head.strip_suffix(PROGRESSIVE).unwrap_or(head)
}

pub(super) const PROGRESSIVE: &str = ".progressive";

fn decode(path: &str) -> Result<Cow<'_, str>, PathError> {
    // Most paths have nothing to decode.
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let mut escapes = path.split('%').skip(1);
    let hex = |escape: &[u8]| matches!(escape, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    if !escapes.all(|escape| hex(escape.as_bytes())) {
        return Err(PathError::BadEscape);
    }
    percent_decode_str(path).decode_utf8().map_err(|_| PathError::NotUtf8)
}

fn no_room(error: KeyError) -> PathError {
    match error {
        KeyError::TooLong { bytes, max } => PathError::NoRoomForSize { bytes, max },
        other => PathError::Key(other),
    }
}
