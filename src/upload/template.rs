//! Keys that nobody chose.

use uuid::Uuid;

/// A template such as `{yyyy}/{mm}/{uuid}.{ext}`.
#[derive(Debug, Clone)]
pub(super) struct Template(String);

/// Why a template cannot make keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("upload.key: write no braces but {{yyyy}}, {{mm}}, {{dd}}, {{uuid}}, {{sha256}} and {{ext}}")]
    Unknown,
    #[error("upload.key: needs {{uuid}} or {{sha256}}, or two uploads would have one key")]
    Ambiguous,
}

const NAMES: [&str; 6] = ["{yyyy}", "{mm}", "{dd}", "{uuid}", "{sha256}", "{ext}"];

impl Template {
    pub(super) fn new(text: &str) -> Result<Self, TemplateError> {
        let rest = NAMES.iter().fold(text.to_owned(), |rest, name| rest.replace(name, ""));
        if rest.contains(['{', '}']) {
            return Err(TemplateError::Unknown);
        }
        if !text.contains("{uuid}") && !text.contains("{sha256}") {
            return Err(TemplateError::Ambiguous);
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the same bytes always have the same key.
    pub(super) fn is_by_content(&self) -> bool {
        self.0.contains("{sha256}") && !["{yyyy}", "{mm}", "{dd}", "{uuid}"].iter().any(|name| self.0.contains(name))
    }

    /// `time` as in RFC 3339, in UTC.
    pub(super) fn make(&self, time: &str, id: Uuid, sha256: &str, extension: &str) -> String {
        let uuid = id.to_string();
        let part = |from: usize, to: usize| time.get(from..to).unwrap_or_default();
        let values = [part(0, 4), part(5, 7), part(8, 10), &uuid, sha256, extension];
        NAMES.iter().zip(values).fold(self.0.clone(), |key, (name, value)| key.replace(name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_make_keys_of_time_content_and_chance() {
        let made =
            |text: &str| Template::new(text).unwrap().make("2026-11-24T23:00:00.000Z", Uuid::new_v4(), "abc", "png");
        assert_eq!(made("{sha256}.{ext}"), "abc.png");
        assert!(made("{yyyy}/{mm}/{dd}/{uuid}.{ext}").starts_with("2026/11/24/"));
        assert_ne!(made("{uuid}"), made("{uuid}"));
        assert!(Template::new("{sha256}").unwrap().is_by_content());
        assert!(!Template::new("{yyyy}/{sha256}").unwrap().is_by_content());
        assert_eq!(Template::new("{name}-{uuid}").unwrap_err(), TemplateError::Unknown);
        assert_eq!(Template::new("{yyyy}.{ext}").unwrap_err(), TemplateError::Ambiguous);
    }
}
