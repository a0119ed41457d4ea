//! Parses the path of a request. It does not check if the objects exist.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::suffix::{SideTooLarge, SizeSpec};
use super::{Format, Grammar, KeyError, ObjectKey, SizeDecision, Variant};

/// The meaning of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedPath {
    /// An original, served as it is.
    Object(ObjectKey, NearMiss),
    Variant(AddressedVariant),
}

impl ParsedPath {
    /// The whole decoded path as a key.
    #[must_use]
    pub fn literal_key(&self) -> &ObjectKey {
        match self {
            Self::Object(key, _) => key,
            Self::Variant(addressed) => &addressed.literal_key,
        }
    }

    /// True if the `Accept` header chooses the format of the response.
    #[must_use]
    pub fn is_negotiable(&self) -> bool {
        matches!(self, Self::Variant(AddressedVariant { negotiable: true, .. }))
    }
}

/// A variant and properties of the URL that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressedVariant {
    pub variant: Variant,
    /// The whole decoded path as a key. It is tried if the original of the variant does not exist, because an original may be
    /// called `LoneStar_1920x1080.png`.
    pub literal_key: ObjectKey,
    /// True if the `Accept` header chooses the format: `formats.negotiate` is set and the URL has no second extension.
    pub negotiable: bool,
    /// The decision of `[sizes]`.
    pub size_decision: SizeDecision,
}

/// Reasons why a path that resembles a variant names an original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NearMiss {
    None,
    /// The path ends in a size suffix, but a side exceeds `limits.max_side`.
    SideTooLarge,
}

/// Reasons why a path is invalid. The messages tell clients what to fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path must start with a slash")]
    NotAbsolute,
    #[error("a `%` in the path is not followed by two hexadecimal digits: write %25 for a percent sign")]
    BadEscape,
    #[error("the path is not UTF-8 once percent-decoded: encode names as UTF-8")]
    NotUtf8,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("this path is reserved for files of the proxy: request the original with a size in its name")]
    Reserved,
    #[error("the key of the original has {bytes} bytes but the limit is {max}, to leave room for a size: shorten it")]
    NoRoomForSize { bytes: usize, max: usize },
}

impl Grammar {
    /// Parses the percent-encoded path of a request. A query is ignored.
    ///
    /// The path is decoded once (RFC 3986 section 2.4): `%2F` is a slash, because keys cannot distinguish the two; `%252F` is
    /// the text `%2F`; `+` is a plus sign.
    ///
    /// # Errors
    /// The path is not a key, or its key is reserved.
    pub fn parse(&self, path: &str) -> Result<ParsedPath, PathError> {
        let path = path.split_once('?').map_or(path, |(path, _query)| path);
        let path = path.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        let literal_key = ObjectKey::new(&decode(path)?)?;
        self.reserved_keys.check_original(&literal_key)?;
        if self.reserved_keys.contains(&literal_key) {
            return Err(PathError::Reserved);
        }
        let (original, file, size) = match self.split(literal_key.as_str()) {
            None => return Ok(ParsedPath::Object(literal_key, NearMiss::None)),
            Some((.., Err(SideTooLarge))) => return Ok(ParsedPath::Object(literal_key, NearMiss::SideTooLarge)),
            Some((original, file, Ok(size))) => (original, file, size),
        };
        // If the name without the suffix is `.` or `..`, the path names an object.
        let Ok(original) = ObjectKey::new(&original) else {
            return Ok(ParsedPath::Object(literal_key, NearMiss::None));
        };
        if self.reserved_keys.contains(&original) {
            return Err(PathError::Reserved);
        }
        self.reserved_keys.check_parent(&original).map_err(no_room_for_size)?;
        let encoding = self.default_qualities.encoding(file.format(), size.quality);
        let negotiable = file.converted.is_none() && !self.negotiated().is_empty();
        let variant = Variant { original, geometry: size.geometry, encoding };
        let size_decision = self.size_decision(&variant);
        Ok(ParsedPath::Variant(AddressedVariant { variant, literal_key, negotiable, size_decision }))
    }

    /// The original of which `key` reads as a variant, if it does. While that original exists, the object `key` is not
    /// served.
    #[must_use]
    pub fn original_of(&self, key: &ObjectKey) -> Option<ObjectKey> {
        let (original, _, size) = self.split(key.as_str())?;
        size.ok()?;
        ObjectKey::new(&original).ok()
    }

    /// Splits a key with a size into the key of the original, its file name and the size.
    ///
    /// A suffix of the file name takes precedence over a segment, which then is an ordinary folder.
    fn split<'t>(&self, key: &'t str) -> Option<(Cow<'t, str>, FileName<'t>, Result<SizeSpec, SideTooLarge>)> {
        let (dir, name) = key.rsplit_once('/').map_or(("", key), |(dir, name)| (dir, name));
        let by_name = self.split_name_and_size(name);
        if self.segment && !matches!(by_name, Some((_, Ok(_)))) {
            let (dir, segment) = dir.rsplit_once('/').unwrap_or(("", dir));
            if let Some(size) = self.suffixes.parse_exact(segment) {
                let original = if dir.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{dir}/{name}")) };
                return Some((original, FileName::without_suffix(name), size));
            }
        }
        let (file, size) = by_name?;
        let mut original = String::with_capacity(key.len());
        original.push_str(&key[..key.len() - name.len()]);
        file.push_to(&mut original);
        Some((Cow::Owned(original), file, size))
    }

    /// Splits the last suffix off a file name. The suffix is at the end, before the extension, or before two
    /// extensions, the second of which is a format.
    fn split_name_and_size<'t>(&self, name: &'t str) -> Option<(FileName<'t>, Result<SizeSpec, SideTooLarge>)> {
        if let Some((stem, size)) = self.suffixes.parse_trailing(name) {
            return Some((FileName { stem, extension: "", converted: None }, size));
        }
        let (head, extension) = name.rsplit_once('.').filter(|(_, extension)| !extension.is_empty())?;
        if let Some((stem, size)) = self.suffixes.parse_trailing(without_progressive(head)) {
            return Some((FileName { stem, extension, converted: None }, size));
        }
        let converted = Some(Format::from_extension(extension)?);
        let (head, extension) = head.rsplit_once('.')?;
        let (stem, size) = self.suffixes.parse_trailing(without_progressive(head))?;
        Some((FileName { stem, extension, converted }, size))
    }
}

/// The name of an original, and the format that a second extension names.
pub(super) struct FileName<'t> {
    pub stem: &'t str,
    /// Without the dot. If it is empty, there is no extension: `cat_300x200..webp` is `cat` as WebP.
    pub extension: &'t str,
    pub converted: Option<Format>,
}

impl<'t> FileName<'t> {
    /// Splits a name without a suffix, for sizes given as a segment. The last extension never means a conversion:
    /// `photo.png` as WebP and an original called `photo.png.webp` would have the same path.
    fn without_suffix(name: &'t str) -> Self {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        Self { stem, extension, converted: None }
    }

    /// The output format. It is JPEG if the extension names no format.
    pub(super) fn format(&self) -> Format {
        self.converted.or_else(|| Format::for_original(self.extension)).unwrap_or(Format::Jpeg)
    }

    fn push_to(&self, key: &mut String) {
        key.push_str(self.stem);
        if !self.extension.is_empty() {
            key.push('.');
            key.push_str(self.extension);
        }
    }
}

/// Removes `.progressive`, as in the Shopify URL `_1000x.progressive.jpg`. It is ignored, because any JPEG may be
/// progressive.
fn without_progressive(head: &str) -> &str {
    head.strip_suffix(PROGRESSIVE).unwrap_or(head)
}

pub(super) const PROGRESSIVE: &str = ".progressive";

fn decode(path: &str) -> Result<Cow<'_, str>, PathError> {
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

fn no_room_for_size(error: KeyError) -> PathError {
    match error {
        KeyError::TooLong { bytes, max } => PathError::NoRoomForSize { bytes, max },
        other => PathError::Key(other),
    }
}
