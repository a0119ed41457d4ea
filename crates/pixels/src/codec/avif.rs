//! AVIF: the container is parsed here, AV1 data is decoded by a [`Sandbox`](crate::Sandbox), and images are encoded by
//! rav1e.

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
#[cfg_attr(not(any(test, fuzzing, feature = "avif-originals")), expect(dead_code, reason = "AVIF is not decoded"))]
pub(crate) mod yuv;
