//! Keys of objects, independent of the store and its prefix.

use std::fmt;
use std::sync::Arc;

/// The key of an object in a store.
///
/// A key has 1 to 1024 bytes of UTF-8, without empty, `.` or `..` segments, control characters and backslashes, so it cannot leave
/// the folder or prefix that it is joined to. Keys are compared byte by byte, as buckets do, without Unicode normalization
/// or case folding. A segment may exceed the 255 bytes that file systems allow; file stores refuse such keys.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(Arc<str>);

const PATH: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Reasons why a text is not an object key. The messages tell clients what to fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the path is empty: add the key of an object after the first slash")]
    Empty,
    #[error("the key has {bytes} bytes but the limit is {max}: shorten it")]
    TooLong { bytes: usize, max: usize },
    #[error("the path has an empty segment: remove the double or trailing slash")]
    EmptySegment,
    #[error("the path has a `.` or `..` segment: resolve it before the request")]
    DotSegment,
    #[error("the path has a control character (such as %00, %0A or %7F): remove it")]
    ControlCharacter,
    #[error("the path has a backslash: separate folders with `/`")]
    Backslash,
}

impl ObjectKey {
    /// Longest key that S3 accepts (Amazon S3 User Guide, "Naming Amazon S3 objects"), in bytes of UTF-8.
    pub const BYTES_MAX: usize = 1024;

    /// Checks `text`, which must be percent-decoded and have no leading slash.
    ///
    /// # Errors
    /// The first violation in `text`.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.len() > Self::BYTES_MAX {
            return Err(KeyError::TooLong { bytes: text.len(), max: Self::BYTES_MAX });
        }
        // C1 controls (U+0080 to U+009F) are the only control characters outside ASCII. Their first byte is C2.
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

    /// The URL path of this key: a slash and the key, percent-encoded except for unreserved characters (RFC 3986) and
    /// slashes.
    #[must_use]
    pub fn url_path(&self) -> String {
        format!("/{}", percent_encoding::utf8_percent_encode(&self.0, PATH))
    }

    /// The key of an object stored below this one.
    ///
    /// `leaf` must be one segment and short enough for the result to be a key. The grammar ensures this by refusing
    /// originals whose variants' keys would be too long.
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
    fn texts_that_could_leave_a_folder_or_break_a_header_are_refused() {
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
    fn common_and_unusual_names_are_keys() {
        for text in ["a", "a/b.jpg", "...", "a/.b", "a b", "100%", "né\u{a0}e", "日本/猫.jpg", "a+b", "a?b#c", "🐈"]
        {
            assert_eq!(ObjectKey::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn keys_are_limited_to_1024_bytes_of_utf8() {
        assert!(ObjectKey::new(&"é".repeat(512)).is_ok());
        assert_eq!(ObjectKey::new(&"é".repeat(513)), Err(KeyError::TooLong { bytes: 1026, max: 1024 }));
    }
}
