use std::fmt;

/// Why there are no planes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The bytes do not begin as a key frame of VP8 does.
    NotVp8,
    /// A frame of a kind that is not decoded here.
    Unsupported(&'static str),
    /// The bytes contradict the format.
    Damaged(&'static str),
    /// The bytes end before the picture does.
    Truncated,
    /// More of something than [`Limits`](crate::Limits) allow.
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        max: u64,
    },
    /// [`Options::proceed`](crate::Options::proceed) said no.
    Cancelled,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotVp8 => f.write_str("not a key frame of VP8"),
            Self::Unsupported(kind) => write!(f, "a VP8 frame that is {kind} is not decoded here"),
            Self::Damaged(reason) => write!(f, "a damaged VP8 frame: {reason}"),
            Self::Truncated => f.write_str("a VP8 frame that is cut short"),
            Self::Limit { what, max } => write!(f, "a VP8 frame with more than {max} {what}"),
            Self::Cancelled => f.write_str("decoding was cancelled"),
        }
    }
}

impl std::error::Error for Error {}
