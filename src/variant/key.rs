//! Keys of objects. Knows no store: which prefix, folder or bucket a key is joined to is not its concern.

use std::fmt;
use std::sync::Arc;

/// The key of an object in a store.
///
/// UTF-8, 1 to 1024 bytes, no empty, `.` or `..` segment, no control characters (NUL among them), no backslash:
/// joined to a folder or prefix it cannot leave it. Compared byte by byte, as buckets do: no Unicode normalisation,
/// no folding of case. A segment may be longer than the 255 bytes that file systems take; a store of files has to
/// refuse that itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Why a text is no object key. The messages are fit for the client: they say what to fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the path names no object: put its key after the first slash")]
    Empty,
    #[error("the key has {bytes} bytes and {max} is the most: shorten it")]
    TooLong { bytes: usize, max: usize },
    #[error("the path has an empty segment: remove the doubled or trailing slash")]
    EmptySegment,
    #[error("the path has a `.` or `..` segment: resolve it before asking")]
    DotSegment,
    #[error("the path has a control character (such as %00, %0A or %7F): remove it")]
    ControlCharacter,
    #[error("the path has a backslash: separate folders by `/`")]
    Backslash,
}

impl ObjectKey {
    /// The longest key that S3 takes (Amazon S3 User Guide, "Naming Amazon S3 objects"), in bytes of UTF-8.
    pub const BYTES_MAX: usize = 1024;

    /// Checks `text`, which is already percent-decoded and has no leading slash.
    ///
    /// # Errors
    /// The first thing about `text` that no key may have.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(KeyError::TooLong { bytes: text.len(), max: Self::BYTES_MAX });
        }
        // One pass over bytes; C1 controls (U+0080 to U+009F) are the only ones outside ASCII, and C2 leads them all.
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                0..=0x1F | 0x7F => return Err(KeyError::ControlCharacter),
                0xC2 if bytes.peek().is_some_and(|next| *next < 0xA0) => return Err(KeyError::ControlCharacter),
                b'\\' => return Err(KeyError::Backslash),
                _ => {}
            }
        }
        for segment in text.split('/') {
            match segment {
                "" => return Err(KeyError::EmptySegment),
                "." | ".." => return Err(KeyError::DotSegment),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path under which the plain original is asked for: a slash, then the key with every byte percent-encoded but
    /// RFC 3986's unreserved characters and slashes.
    #[must_use]
    pub fn url_path(&self) -> String {
        format!("/{}", percent_encoding::utf8_percent_encode(&self.0, PATH))
    }

    /// The key of something kept below this one.
    ///
    /// `leaf` has to be one plain segment, and short enough that the whole stays a key; the grammar sees to that by
    /// refusing originals whose variants' keys would not fit.
    pub(super) fn child(&self, leaf: &str) -> Self {
        Self(format!("{self}/{leaf}").into())
    }
}

impl AsRef<str> for ObjectKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_leave_a_folder_or_break_a_header_is_no_key() {
        let refused = [
            ("", KeyError::Empty),
            ("/a", KeyError::EmptySegment),
            ("a//b", KeyError::EmptySegment),
            ("a/", KeyError::EmptySegment),
            (".", KeyError::DotSegment),
            ("a/../b", KeyError::DotSegment),
            ("a/.", KeyError::DotSegment),
            ("a\0", KeyError::ControlCharacter),
            ("a\r\nb", KeyError::ControlCharacter),
            ("a\u{7f}", KeyError::ControlCharacter),
            ("a\u{80}", KeyError::ControlCharacter),
            ("a\u{9f}b", KeyError::ControlCharacter),
            ("a\\b", KeyError::Backslash),
        ];
        for (text, error) in refused {
            assert_eq!(ObjectKey::new(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn ordinary_and_odd_names_are_keys() {
        for text in ["a", "a/b.jpg", "...", "a/.b", "a b", "100%", "né\u{a0}e", "日本/猫.jpg", "a+b", "a?b#c", "🐈"]
        {
            assert_eq!(ObjectKey::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn a_key_has_at_most_1024_bytes_of_utf8() {
        assert!(ObjectKey::new(&"é".repeat(512)).is_ok());
        assert_eq!(ObjectKey::new(&"é".repeat(513)), Err(KeyError::TooLong { bytes: 1026, max: 1024 }));
    }
}
