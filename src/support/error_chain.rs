//! Formats an error together with its causes.

use crate::support::url_secrets::mask_text;

/// Formats `error` and its sources on one line, separated by colons.
///
/// Secrets in URLs are masked. Many errors already repeat the message of their source. A source is omitted if the line already ends with its message.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    let line = causes.fold(error.to_string(), |line, cause| {
        let cause = cause.to_string();
        if line.ends_with(&cause) { line } else { format!("{line}: {cause}") }
    });
    mask_text(&line).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{message}")]
    struct TestError {
        message: &'static str,
        source: Option<Box<Self>>,
    }

    #[test]
    fn each_cause_is_printed_once() {
        let error = |message, source: Option<TestError>| TestError { message, source: source.map(Box::new) };
        assert_eq!(chain(&error("no store", None)), "no store");
        assert_eq!(chain(&error("no store http://me:hush@a/", None)), "no store http://***@a/");
        let refused = error("tcp", Some(error("refused", None)));
        assert_eq!(chain(&error("no store", Some(refused))), "no store: tcp: refused");
        let repeats = error("tcp: refused", Some(error("refused", None)));
        assert_eq!(chain(&error("no store", Some(repeats))), "no store: tcp: refused");
    }
}
