//! HEIF: the container of AVIF and HEIC. It is parsed here, a [`Sandbox`](crate::Sandbox) decodes the codestreams, and
//! their samples are converted to pixels or planes.

pub(crate) mod container;
pub(crate) mod decode;
pub(crate) mod frames;
pub(crate) mod grid_canvas;
mod hevc_file;
pub(crate) mod yuv;
