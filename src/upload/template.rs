//! Generates keys for uploads whose keys are not chosen by the client.

use uuid::Uuid;

/// A template such as `{yyyy}/{mm}/{uuid}.{ext}`.
#[derive(Debug, Clone)]
pub(super) struct KeyTemplate(String);

/// Reasons why `upload.key_template` cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "upload.key_template: the only placeholders are {{yyyy}}, {{mm}}, {{dd}}, {{uuid}}, {{sha256}} and {{ext}}"
    )]
    Unknown,
    #[error("upload.key_template: must contain {{uuid}} or {{sha256}}, so that two uploads get different keys")]
    Ambiguous,
}

const PLACEHOLDERS: [&str; 6] = ["{yyyy}", "{mm}", "{dd}", "{uuid}", "{sha256}", "{ext}"];

impl KeyTemplate {
    pub(super) fn new(text: &str) -> Result<Self, TemplateError> {
        let rest = PLACEHOLDERS.iter().fold(text.to_owned(), |rest, name| rest.replace(name, ""));
        if rest.contains(['{', '}']) {
            return Err(TemplateError::Unknown);
        }
        if !text.contains("{uuid}") && !text.contains("{sha256}") {
            return Err(TemplateError::Ambiguous);
        }
        Ok(Self(text.to_owned()))
    }

    /// True if equal bytes always get the same key.
    pub(super) fn is_content_addressed(&self) -> bool {
        self.0.contains("{sha256}") && !["{yyyy}", "{mm}", "{dd}", "{uuid}"].iter().any(|name| self.0.contains(name))
    }

    /// Generates a key. `time` is in the format of RFC 3339, in UTC.
    pub(super) fn generate(&self, time: &str, uuid: Uuid, sha256: &str, extension: &str) -> String {
        let uuid = uuid.to_string();
        let part = |from: usize, to: usize| time.get(from..to).unwrap_or_default();
        let values = [part(0, 4), part(5, 7), part(8, 10), &uuid, sha256, extension];
        PLACEHOLDERS.iter().zip(values).fold(self.0.clone(), |key, (name, value)| key.replace(name, value))
    }
}

/// The extension of generated keys.
pub(super) fn extension(media_type: &str) -> &'static str {
    match media_type {
        "image/jpeg" => "jpg",
        "image/png" => "png",
        "image/webp" => "webp",
        "image/gif" => "gif",
        "image/avif" => "avif",
        "image/heic" => "heic",
        "image/jxl" => "jxl",
        "image/tiff" => "tiff",
        "image/bmp" => "bmp",
        "image/x-icon" => "ico",
        "image/svg+xml" => "svg",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_and_invalid_templates_are_rejected() {
        let generate = |text: &str| {
            let template = KeyTemplate::new(text).unwrap();
            template.generate("2026-11-24T23:00:00.000Z", Uuid::new_v4(), "abc", "png")
        };
        assert_eq!(generate("{sha256}.{ext}"), "abc.png");
        assert!(generate("{yyyy}/{mm}/{dd}/{uuid}.{ext}").starts_with("2026/11/24/"));
        assert_ne!(generate("{uuid}"), generate("{uuid}"));
        assert!(KeyTemplate::new("{sha256}").unwrap().is_content_addressed());
        assert!(!KeyTemplate::new("{yyyy}/{sha256}").unwrap().is_content_addressed());
        assert_eq!(KeyTemplate::new("{name}-{uuid}").unwrap_err(), TemplateError::Unknown);
        assert_eq!(KeyTemplate::new("{yyyy}.{ext}").unwrap_err(), TemplateError::Ambiguous);
    }
}
