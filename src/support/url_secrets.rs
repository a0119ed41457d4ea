//! Masks secrets in URLs before they are displayed: user information, and query parameters such as signatures.

use std::borrow::Cow;

/// Text displayed instead of a secret.
pub const MASK: &str = "***";

/// Parts of the names of query parameters whose values are secret: `X-Amz-Signature`, `access_token`.
const SECRET_NAMES: &[&str] =
    &["signature", "token", "secret", "passw", "credential", "apikey", "api_key", "api-key", "grant"];

/// Whole names of query parameters whose values are secret.
const SECRET_NAMES_EXACT: &[&str] = &["sig", "key", "auth", "authorization", "pwd", "code"];

/// Masks the secrets of a URL from the configuration: its user information and its whole query, because only its server
/// knows which parameters are secret.
#[must_use]
pub fn mask_url(url: &str) -> Cow<'_, str> {
    let (address, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let masked = mask_text(address);
    if query.is_empty() { masked } else { Cow::Owned(format!("{masked}?{MASK}")) }
}

/// Masks the secrets of all URLs in a text, such as the message of an error.
#[must_use]
pub fn mask_text(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, url) = rest.split_at(at + 3);
        masked.push_str(before);
        let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
        let (url, after) = url.split_at(url.find(is_end).unwrap_or(url.len()));
        let (authority, target) = url.split_at(url.find(['/', '?', '#']).unwrap_or(url.len()));
        match authority.rsplit_once('@') {
            Some((_, host)) => masked.extend([MASK, "@", host]),
            None => masked.push_str(authority),
        }
        masked.push_str(&mask_target(target));
        rest = after;
    }
    masked.push_str(rest);
    Cow::Owned(masked)
}

/// Masks the values of secret parameters in the query of a path or URL.
#[must_use]
pub fn mask_target(target: &str) -> Cow<'_, str> {
    let Some((path, query)) = target.split_once('?') else { return Cow::Borrowed(target) };
    let is_secret = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| is_secret_name(name));
    if !query.split('&').any(is_secret) {
        return Cow::Borrowed(target);
    }
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if is_secret_name(name) => Cow::Owned(format!("{name}={MASK}")),
        _ => Cow::Borrowed(pair),
    });
    Cow::Owned(format!("{path}?{}", shown.collect::<Vec<_>>().join("&")))
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_NAMES_EXACT.contains(&name.as_str()) || SECRET_NAMES.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_and_queries_of_configured_urls_are_masked() {
        let table = [
            ("https://a.example/hook", "https://a.example/hook"),
            ("https://me:hush@a.example/hook", "https://***@a.example/hook"),
            ("https://hush@a.example", "https://***@a.example"),
            ("https://me:hu@sh@a.example:80/hook", "https://***@a.example:80/hook"),
            ("https://a.example/hook?t=hush", "https://a.example/hook?***"),
            ("https://a.example/@me", "https://a.example/@me"),
            ("s3://bucket/prefix", "s3://bucket/prefix"),
            ("", ""),
        ];
        for (url, expected) in table {
            assert_eq!(mask_url(url), expected);
        }
    }

    #[test]
    fn secret_parameters_are_masked_and_others_are_not() {
        let table = [
            ("/cat_300x.jpg", "/cat_300x.jpg"),
            ("/cat_300x.jpg?v=1", "/cat_300x.jpg?v=1"),
            ("/a?expires=9&signature=hush", "/a?expires=9&signature=***"),
            ("/a?Sig=hush&v=1", "/a?Sig=***&v=1"),
            (
                "/a?X-Amz-Signature=hush&X-Amz-Date=1&X-Amz-Credential=h",
                "/a?X-Amz-Signature=***&X-Amz-Date=1&X-Amz-Credential=***",
            ),
            ("/a?access_token=hush", "/a?access_token=***"),
            ("/a?monkey=1&keys&sign=2", "/a?monkey=1&keys&sign=2"),
            ("/a?signature", "/a?signature"),
            ("/a?signature=hush?&b", "/a?signature=***&b"),
        ];
        for (target, expected) in table {
            assert_eq!(mask_target(target), expected);
        }
    }

    #[test]
    fn every_url_in_a_text_is_masked() {
        let text = "cannot send to \"https://me:hush@a.example/?sig=hush\": https://b.example?c=1 and s3://hush@d.";
        let expected = "cannot send to \"https://***@a.example/?sig=***\": https://b.example?c=1 and s3://***@d.";
        assert_eq!(mask_text(text), expected);
        assert_eq!(mask_text("no URL, but a@b"), "no URL, but a@b");
        assert_eq!(mask_text("://"), "://");
    }
}
