//! Decodes and encodes JPEG.

pub(crate) mod embed;
pub(crate) mod multi_picture;
pub(crate) mod segments;
pub(crate) mod encode;
pub(crate) mod planar;
pub(crate) mod strip;
