//! Paths to variants and back: pure.
//!
//! A size-suffixed path names a [`Variant`]; [`Grammar`] reads and writes such paths. This module knows no network,
//! no store and no pixels: whether the original exists, and whether it may be that large, is for others to find out.
//!
//! ```text
//! /{dir}/{stem}_{size}[_crop[_{region}]][_q{1..100}][@{2|3}x][.progressive].{ext}[.{format}]
//! /{dir}/{stem}-{size}[_q{1..100}][@{2|3}x][.progressive].{ext}[.{format}]
//! /{dir}/{size}[_crop[_{region}]][_q{1..100}][@{2|3}x]/{name}        with urls.segment
//! ```

use std::num::NonZeroU32;

pub use grammar::{Grammar, GrammarError};
pub use key::{KeyError, ObjectKey};
pub use parse::{Addressed, Hint, Named, PathError};
pub use pixels::{Encoding, Format, Geometry, Quality, Region};
pub use signer::{Signature, SignatureError, Signer, to_be_signed};
pub use sizes::Allowance;

mod key;
mod suffix;
mod sizes;
mod signer;
mod reserved_keys;
mod grammar;
mod parse;
mod canonical;

#[cfg(test)]
mod tests;

/// What a size-suffixed path names. One canonical spelling, one key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variant {
    pub original: ObjectKey,
    pub geometry: Geometry,
    pub encoding: Encoding,
}

/// A side in pixels.
type Side = NonZeroU32;
