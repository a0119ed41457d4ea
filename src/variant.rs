//! The URL grammar: paths to variants and back, without I/O.
//!
//! A path with a size suffix names a [`Variant`]. [`Grammar`] parses and prints such paths. Other modules check that
//! the original exists and can be resized.
//!
//! ```text
//! /{dir}/{stem}_{size}[_crop[_{region}]][_q{1..100}][@{2|3}x][.progressive].{ext}[.{format}]
//! /{dir}/{stem}-{size}[_q{1..100}][@{2|3}x][.progressive].{ext}[.{format}]
//! /{dir}/{size}[_crop[_{region}]][_q{1..100}][@{2|3}x]/{name}        with urls.segment
//! ```

use std::num::NonZeroU32;

pub use grammar::{Grammar, GrammarError};
pub use key::{KeyError, ObjectKey};
pub use parse::{AddressedVariant, NearMiss, ParsedPath, PathError};
pub use pixels::{Encoding, Format, Geometry, Quality, Region};
pub use signer::{Signature, SignatureError, Signer, UrlToSign};
pub use sizes::SizeDecision;

mod key;
mod suffix;
mod default_qualities;
mod quality_scale;
mod sizes;
mod signer;
mod reserved_keys;
mod grammar;
mod parse;
mod canonical;

#[cfg(test)]
mod tests;

/// An image at a size, in a format. It has exactly one canonical path and one storage key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    pub original: ObjectKey,
    pub geometry: Geometry,
    pub encoding: Encoding,
}

/// A side in pixels.
type Side = NonZeroU32;
