//! Decodes and encodes JPEG.

pub(crate) mod encode;
pub(crate) mod planar;
pub(crate) mod strip;
