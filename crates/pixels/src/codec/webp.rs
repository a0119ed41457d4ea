//! WebP: the container is parsed here, pixels are decoded by image-webp, planes by vp8-planes, and images are encoded
//! by libwebp.

pub(crate) mod container;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod planar;
