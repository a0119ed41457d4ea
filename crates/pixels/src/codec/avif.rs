//! AVIF: the container is parsed and written here. AV1 data is decoded by rav1d in a [`Sandbox`](crate::Sandbox), and
//! encoded by rav1e, large images in a sandbox too.

#[cfg(feature = "avif-originals")]
pub(crate) mod av1;
#[cfg(feature = "avif")]
mod container;
pub(crate) mod decode;
#[cfg(feature = "avif")]
pub(crate) mod encode;
pub(crate) mod grid_canvas;
pub(crate) mod heif;
pub(crate) mod yuv;
