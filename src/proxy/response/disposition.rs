//! `Content-Disposition` (RFC 6266) of pictures whose format `Accept` chose, so that a saved picture has the extension of its format.

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::variant::{Format, ObjectKey};

/// Bytes that are encoded in an extended parameter: all but some of `attr-char` (RFC 8187 section 3.2.1).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names the file after the last segment of the path, with the extension of the format that is sent: `cat_300x200.avif` for
/// `/photos/cat_300x200.jpg`. A configured header stays.
pub(in crate::proxy) fn name_file<B>(path: &ObjectKey, response: &mut Response<B>) {
    if !response.status().is_success() || response.headers().contains_key(CONTENT_DISPOSITION) {
        return;
    }
    let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let Some(format) = media_type.and_then(Format::from_media_type) else { return };
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if let Ok(value) = HeaderValue::try_from(inline(stem, format.extension())) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
}

/// A name with other characters than letters, digits and `-._~` is given twice: for clients that do not know extended parameters,
/// underscores replace them.
fn inline(stem: &str, extension: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    if stem.chars().all(is_plain) {
        return format!("inline; filename=\"{stem}.{extension}\"");
    }
    let plain: String = stem.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let encoded = utf8_percent_encode(stem, ENCODED);
    format!("inline; filename=\"{plain}.{extension}\"; filename*=UTF-8''{encoded}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disposition(path: &str, media_type: &'static str) -> Option<String> {
        let mut response = Response::new(());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        name_file(&ObjectKey::new(path).unwrap(), &mut response);
        Some(response.headers().get(CONTENT_DISPOSITION)?.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_file_has_the_extension_of_the_format_that_is_sent() {
        let expected = Some("inline; filename=\"cat_300x200.webp\"".to_owned());
        assert_eq!(disposition("photos/cat_300x200.jpg", "image/webp"), expected);
        assert_eq!(disposition("300x200/cat", "image/png"), Some("inline; filename=\"cat.png\"".to_owned()));
        assert_eq!(disposition("cat_300x200.jpg", "application/problem+json"), None);
    }

    #[test]
    fn names_with_other_characters_are_encoded() {
        let expected = "inline; filename=\"a__b__300x.webp\"; filename*=UTF-8''a%22%20b%C3%BC_300x.webp";
        assert_eq!(disposition("a\" bü_300x.jpg", "image/webp").unwrap(), expected);
    }
}
