//! Decodes and encodes JPEG.

pub(crate) mod embed;
pub(crate) mod encode;
pub(crate) mod planar;
pub(crate) mod strip;
