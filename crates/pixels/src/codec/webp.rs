//! WebP: the container is parsed here, lossy images are decoded by vp8-planes, lossless ones and alpha by vp8l, and images
//! are encoded by libwebp.

pub(crate) mod container;
pub(crate) mod decode;
pub(crate) mod embed;
pub(crate) mod encode;
pub(crate) mod planar;
pub(crate) mod still;
pub(crate) mod strip;
mod upsample;
