#![doc = include_str!("../README.md")]

mod codecs;
mod effort;
mod limits;
mod error;
mod info;
mod pixels;
mod encoding;
mod geometry;
mod output;
mod yuv_image;
mod pixel_image;
mod sandbox;
mod observer;
mod deadline;
mod context;
mod size_limits;
mod sniff;
mod transform;
mod codec;
mod metadata;
mod gain_map;
pub mod decoders;
mod header;
mod raster;
mod probe;
mod render;
mod sanitize;
mod estimate;

#[cfg(test)]
mod tests;

#[cfg(feature = "avif")]
pub use codec::avif::encode::encode_av1;
#[cfg(fuzzing)]
pub use codec::heif::container::check::{avif as check_avif, heic as check_heic};
#[cfg(feature = "jxl-variants")]
pub use codec::jxl::encode::encode_jxl;
pub use codec::svg::sanitized_bytes_max;
pub use codecs::{Codec, Codecs};
pub use deadline::cpu_time;
pub use effort::{JpegEffort, PngEffort, WebpEffort};
pub use encoding::{AvifDepth, Encoding, Format, Quality};
pub use error::{AnimationLimit, Error, OutputLimit, UnsupportedFormat};
pub use estimate::CpuEstimate;
pub use geometry::{Geometry, Region};
pub use header::{HEADER_BYTES_MAX, Header};
pub use info::ImageInfo;
pub use limits::{ColorPolicy, EncodeOptions, Incomplete, Limits};
pub use observer::{NoObserver, Observer, Stage};
pub use output::OutputSpec;
pub use pixel_image::{DeepPixelImage, ImageShape, PixelImage, PixelLayout, PixelShape};
pub use probe::{Probe, probe};
pub use render::{PIPELINE, RenderOptions, render, render_each};
pub use sandbox::{
    Av1Frame, DecodeRequest, JxlCoding, JxlColors, JxlPicture, Sandbox, SandboxError, SandboxFormat, SandboxFrame,
    SandboxImage, SandboxOutput, SandboxTask, SandboxWorker,
};
pub use sanitize::{sanitize_svg, sanitizing_bytes, sanitizing_estimate};
pub use sniff::{SVG_HEAD_BYTES, is_svg, sniff};
pub use transform::color::PROFILE_BYTES_MAX;
pub use transform::crop::output_size;
pub use yuv_image::{ChromaSubsampling, Cicp, YuvImage, YuvSamples, YuvShape};
