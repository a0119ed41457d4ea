//! The formats of originals, for the texts of refusals.

use std::fmt;

use crate::limits::Limits;

/// A format of originals.
struct AcceptedFormat {
    name: &'static str,
    /// True if the format is decoded only in a [`Sandbox`](crate::Sandbox).
    is_sandboxed: bool,
    /// True if the limits allow the format.
    is_enabled: fn(&Limits) -> bool,
}

/// The formats that this build decodes. Every refusal of an original is worded from this list.
const FORMATS: &[AcceptedFormat] = &[
    AcceptedFormat { name: "JPEG", is_sandboxed: false, is_enabled: |_| true },
    AcceptedFormat { name: "PNG", is_sandboxed: false, is_enabled: |_| true },
    AcceptedFormat { name: "WebP", is_sandboxed: false, is_enabled: |_| true },
    AcceptedFormat { name: "GIF", is_sandboxed: false, is_enabled: |_| true },
    #[cfg(feature = "avif-originals")]
    AcceptedFormat { name: "AVIF", is_sandboxed: true, is_enabled: |limits| limits.avif_originals },
];

/// The names of formats of originals. Displayed as a list: "JPEG, PNG and AVIF".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedFormats(Vec<&'static str>);

impl AcceptedFormats {
    /// The formats that this build decodes under these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self::filtered(|format| (format.is_enabled)(limits))
    }

    /// The formats that are decoded without a sandbox.
    pub(crate) fn without_sandbox() -> Self {
        Self::filtered(|format| !format.is_sandboxed)
    }

    fn filtered(is_accepted: impl Fn(&AcceptedFormat) -> bool) -> Self {
        Self(FORMATS.iter().filter(|format| is_accepted(format)).map(|format| format.name).collect())
    }
}

impl fmt::Display for AcceptedFormats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no formats"),
            [one] => f.write_str(one),
            [first @ .., last] => write!(f, "{} and {last}", first.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_listed_if_they_are_enabled() {
        let without_avif = "JPEG, PNG, WebP and GIF";
        let disabled = Limits { avif_originals: false, ..Limits::default() };
        assert_eq!(AcceptedFormats::new(&disabled).to_string(), without_avif);
        assert_eq!(AcceptedFormats::without_sandbox().to_string(), without_avif);
        let expected = if cfg!(feature = "avif-originals") { "JPEG, PNG, WebP, GIF and AVIF" } else { without_avif };
        assert_eq!(AcceptedFormats::new(&Limits::default()).to_string(), expected);
    }
}
