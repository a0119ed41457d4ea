//! An error with what caused it, in one line.

/// The error, and its causes behind it where they say more: of many an error the first line says little.
///
/// A cause whose words the line ends with already is passed over, since many errors repeat the one below them.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |line, cause| {
        let cause = cause.to_string();
        if line.ends_with(&cause) { line } else { format!("{line}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failed(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn each_cause_is_said_once() {
        let failed = |text, cause: Option<Failed>| Failed(text, cause.map(Box::new));
        assert_eq!(chain(&failed("no store", None)), "no store");
        let refused = failed("tcp", Some(failed("refused", None)));
        assert_eq!(chain(&failed("no store", Some(refused))), "no store: tcp: refused");
        let repeats = failed("tcp: refused", Some(failed("refused", None)));
        assert_eq!(chain(&failed("no store", Some(repeats))), "no store: tcp: refused");
    }
}
