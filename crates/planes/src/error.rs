use std::fmt;

/// The reason why decoding failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The input does not start with the signature of the named format.
    WrongFormat(&'static str),
    /// The input uses the named feature, which the decoder does not implement. Another decoder may.
    Unsupported(&'static str),
    /// The input violates the format's specification.
    Damaged(&'static str),
    /// The input ends before the image is complete.
    Truncated,
    /// The input exceeds one of the [`Limits`](crate::Limits).
    Limit {
        /// The limited quantity, such as "pixels".
        what: &'static str,
        /// The configured maximum.
        max: u64,
    },
    /// The caller's `should_continue` callback returned `false`.
    Cancelled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongFormat(expected) => write!(f, "not a {expected}"),
            Self::Unsupported(feature) => write!(f, "unsupported feature: {feature}"),
            Self::Damaged(reason) => write!(f, "damaged image data: {reason}"),
            Self::Truncated => f.write_str("truncated image data"),
            Self::Limit { what, max } => write!(f, "more than {max} {what}"),
            Self::Cancelled => f.write_str("decoding was cancelled"),
        }
    }
}

impl std::error::Error for Error {}
