//! A statement in plain text.

/// Maximum length of a statement in bytes. Longer ones are cut.
const TEXT_BYTES_MAX: usize = 1000;

/// A statement that is not empty, has at most [`TEXT_BYTES_MAX`], and consists of characters of XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text(String);

impl Text {
    /// `None` if nothing remains without spaces and control characters.
    pub(super) fn new(text: &str) -> Option<Self> {
        // Characters of XML 1.0 (section 2.2), without line breaks.
        let is_valid = |c: &char| !c.is_control() && !matches!(c, '\u{FFFE}' | '\u{FFFF}' | '\u{FEFF}');
        let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
        let mut kept = String::new();
        for c in spaced.filter(is_valid) {
            if kept.len() + c.len_utf8() > TEXT_BYTES_MAX {
                break;
            }
            if c != ' ' || !(kept.is_empty() || kept.ends_with(' ')) {
                kept.push(c);
            }
        }
        let length = kept.trim_end().len();
        kept.truncate(length);
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// Text in UTF-8 or, if it is not valid, in Latin-1, which many programs write.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = &bytes[..bytes.len().min(4 * TEXT_BYTES_MAX)];
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::new(text),
            // A character at the end may have been cut.
            Err(error) if error.error_len().is_none() => {
                Self::new(&String::from_utf8_lossy(&bytes[..error.valid_up_to()]))
            }
            Err(_) => Self::new(&bytes.iter().copied().map(char::from).collect::<String>()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_trimmed_cut_and_freed_of_control_characters() {
        let shown = |text: &str| Text::new(text).map(|text| text.0);
        assert_eq!(shown(" \0\t "), None);
        assert_eq!(shown("  a \r\n b\u{0} "), Some("a b".to_owned()));
        assert_eq!(shown(&"é".repeat(600)), Some("é".repeat(500)));
        assert_eq!(Text::from_bytes(b"\xA9 Zo\xEB"), Text::new("© Zoë"));
        assert_eq!(Text::from_bytes("© Zoë".as_bytes()), Text::new("© Zoë"));
    }
}
