//! Parts of the values of header fields (RFC 9110 section 5.6).

use super::characters::{TOKEN, are_all};

/// True for a token.
#[must_use]
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && are_all(text.as_bytes(), TOKEN)
}

/// Splits `text` at the first `separator` outside quoted strings. `None` if there is no such separator.
#[must_use]
pub fn split_unquoted(text: &str, separator: u8) -> (&str, Option<&str>) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => return (&text[..at], Some(&text[at + 1..])),
            _ => {}
        }
    }
    (text, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quoted_strings_do_not_split() {
        assert_eq!(split_unquoted("a,b,c", b','), ("a", Some("b,c")));
        assert_eq!(split_unquoted(r#"a=",\",",b"#, b','), (r#"a=",\",""#, Some("b")));
        assert_eq!(split_unquoted(r#"a\,b"#, b','), (r"a\", Some("b")), "only quoted strings have escapes");
        assert_eq!(split_unquoted("a;", b';'), ("a", Some("")));
        assert_eq!(split_unquoted(r#""a;b"#, b';'), (r#""a;b"#, None));
    }

    #[test]
    fn a_token_has_no_separators() {
        assert!(["a", "*", "a-b_c.1~"].into_iter().all(is_token));
        assert!(!["", "a b", "a/b", "a=", "\"a\"", "\u{e9}"].into_iter().any(is_token));
    }
}
