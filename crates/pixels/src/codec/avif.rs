//! AVIF: AV1 data is decoded by rav1d in a [`Sandbox`](crate::Sandbox), and encoded by rav1e, large images in a sandbox too.
//! The container is parsed by [`heif`](crate::codec::heif), and written here.

#[cfg(feature = "avif-originals")]
pub(crate) mod av1;
#[cfg(feature = "avif")]
mod container;
#[cfg(feature = "avif")]
pub(crate) mod encode;
