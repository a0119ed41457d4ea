//! File formats: reading headers, decoding and encoding. No codec depends on another codec, only on the modules below
//! that several codecs share.

pub(crate) mod jpeg;
pub(crate) mod png;
pub(crate) mod gif;
pub(crate) mod webp;
pub(crate) mod avif;
#[cfg(feature = "heic")]
pub(crate) mod heic;
pub(crate) mod jxl;
pub(crate) mod tiff;
pub(crate) mod bmp;
pub(crate) mod ico;
pub(crate) mod svg;
// Shared by several codecs.
pub(crate) mod animation;
pub(crate) mod decoded;
pub(crate) mod embedded;
pub(crate) mod heif;
pub(crate) mod palette;
pub(crate) mod planes;
pub(crate) mod sandboxed;
