//! AVIF: the container is parsed and written here. AV1 data is decoded by rav1d in a [`Sandbox`](crate::Sandbox), and
//! encoded by rav1e, large images in a sandbox too.

#[cfg(feature = "avif-originals")]
pub mod av1;
#[cfg(feature = "avif-originals")]
pub(crate) mod decode;
#[cfg(feature = "avif")]
pub(crate) mod encode;
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "AVIF is not decoded"))]
pub(crate) mod grid_canvas;
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "AVIF is not decoded"))]
pub(crate) mod heif;
#[cfg(any(feature = "avif", feature = "avif-originals"))]
mod sandbox_session;
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "AVIF is not decoded"))]
pub(crate) mod yuv;
