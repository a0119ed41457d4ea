//! Interface to isolated processes that decode untrusted formats, and encode AV1 and JPEG XL.
//!
//! A decoder runs in such a process if it has `unsafe` code, cannot be stopped, or does not limit its memory. The AV1
//! encoder cannot be stopped within a frame, but its process can be killed. This crate reads the headers of all formats
//! itself, so the size, the channels and the memory of an image are known, checked and charged before its process
//! starts. The data then go to a [`Sandbox`], which the caller implements, usually by a confined child process that
//! calls [`decoders::decode`](crate::decoders::decode).

use std::time::Duration;

use crate::pixel_image::{DeepPixelImage, ImageShape, PixelImage, PixelShape};
use crate::yuv_image::{YuvImage, YuvSamples, YuvShape};

pub(crate) mod session;

/// Memory of a decoder's process in addition to that for the image: tables, and overhead of the allocator. The allocator
/// of musl builds aligns large blocks, and needed up to 22 MiB more than that of glibc.
pub(crate) const PROCESS_BYTES: u64 = if cfg!(target_env = "musl") { 24 << 20 } else { 4 << 20 };

/// Starts isolated processes.
pub trait Sandbox {
    /// Starts a process for one original or for one variant. The process may allocate `memory_bytes` beyond its base
    /// footprint and may use `cpu_time`.
    ///
    /// # Errors
    /// The process could not be started, or `task` reads untrusted bytes and the system cannot confine the process.
    fn start(
        &self,
        task: SandboxTask,
        memory_bytes: u64,
        cpu_time: Duration,
    ) -> Result<Box<dyn SandboxWorker>, SandboxError>;
}

/// The requests that a process will get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxTask {
    /// Decoding or sanitizing, which reads untrusted bytes.
    Decode,
    /// Encoding of pixels, which need not be confined.
    Encode,
}

/// A running isolated process. It ends when it is dropped.
pub trait SandboxWorker {
    /// Decodes one image, which must have the requested shape.
    ///
    /// # Errors
    /// The data are damaged or have another shape, or the process ran out of time.
    fn decode(&mut self, request: &DecodeRequest<'_>) -> Result<SandboxOutput<SandboxImage>, SandboxError>;

    /// Sanitizes an SVG. The result has at most [`sanitized_bytes_max`](crate::sanitized_bytes_max) bytes.
    ///
    /// # Errors
    /// The file is damaged, or the process ran out of time.
    fn sanitize(&mut self, svg: &[u8]) -> Result<SandboxOutput<Vec<u8>>, SandboxError>;

    /// Starts to decode an animation, and decodes its first frame, which must have the requested shape. `None` if the
    /// animation has no frame.
    ///
    /// # Errors
    /// The data are damaged or have another shape, or the process ran out of time.
    fn start_animation(
        &mut self,
        request: &DecodeRequest<'_>,
    ) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError>;

    /// Decodes the next frame of the animation. `None` after the last frame.
    ///
    /// # Errors
    /// See [`start_animation`](Self::start_animation).
    fn next_frame(&mut self) -> Result<SandboxOutput<Option<SandboxFrame>>, SandboxError>;

    /// Encodes one AV1 image.
    ///
    /// # Errors
    /// The encoder failed or ran out of time.
    fn encode(&mut self, frame: &Av1Frame) -> Result<SandboxOutput<Vec<u8>>, SandboxError>;

    /// Encodes one JPEG XL image.
    ///
    /// # Errors
    /// The encoder failed or ran out of time.
    fn encode_jxl(&mut self, _picture: &JxlPicture) -> Result<SandboxOutput<Vec<u8>>, SandboxError> {
        Err(SandboxError::Failed { reason: "this sandbox encodes no JPEG XL".to_owned() })
    }
}

/// Format of the data for a sandboxed decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxFormat {
    /// Temporal units of AV1 (section 7.5), without a container. In an animation, each follows its length in four bytes,
    /// little-endian.
    Av1,
    /// A HEIC file with one image, whose orientation and crop are not applied.
    Hevc,
    /// A file. As an image, it is decoded to its first frame.
    JpegXl,
    /// A file, of which the first image is decoded.
    Tiff,
    /// A file.
    Bmp,
    /// A file with one picture.
    Ico,
    /// A file, which is rasterized to the requested size.
    Svg,
}

impl SandboxFormat {
    pub const ALL: [Self; 7] = [Self::Av1, Self::Hevc, Self::JpegXl, Self::Tiff, Self::Bmp, Self::Ico, Self::Svg];
}

/// An image to decode.
#[derive(Debug, Clone, Copy)]
pub struct DecodeRequest<'a> {
    pub format: SandboxFormat,
    pub bytes: &'a [u8],
    /// Size and samples according to the header.
    pub shape: ImageShape,
}

/// A decoded image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SandboxImage {
    Yuv(YuvImage),
    Pixels(PixelImage),
    DeepPixels(DeepPixelImage),
}

/// A frame of an animation, as it is shown: composed with the frames before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxFrame {
    pub image: SandboxImage,
    /// The time that the frame is shown; zero if the caller knows it.
    pub duration: Duration,
}

/// Samples of a still image in full range that the AV1 encoder gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Av1Frame {
    /// 8 or 10 bits, in 4:0:0, 4:2:0 or 4:4:4.
    pub shape: YuvShape,
    /// Y alone for 4:0:0, else Y, Cb and Cr.
    pub planes: Vec<YuvSamples>,
    /// Quantizer index, from 0 for the highest quality to 255.
    pub quantizer: u8,
}

/// Pixels that the JPEG XL encoder gets.
#[derive(Debug, Clone, PartialEq)]
pub struct JxlPicture {
    pub shape: PixelShape,
    /// Samples in row order without padding: of 8 bits, or of 16 bits from 0 to 65,535. Alpha is not premultiplied.
    pub samples: YuvSamples,
    pub colors: JxlColors,
    pub coding: JxlCoding,
}

/// The color space of a [`JxlPicture`]. Gray has the transfer function of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JxlColors {
    Srgb,
    DisplayP3,
}

/// The way in which a [`JxlPicture`] is encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum JxlCoding {
    Lossless,
    /// At this distance in units of butteraugli.
    Lossy(f32),
    /// Lossy at this distance, and lossless if that is not larger.
    Smaller(f32),
}

/// A result and the cost of making it.
#[derive(Debug)]
pub struct SandboxOutput<T> {
    pub value: T,
    /// CPU time that the process has used since it was started. It counts against
    /// [`Limits::render_time`](crate::Limits::render_time).
    pub cpu_time: Duration,
}

/// The reason why an isolated process returned no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    #[error("the process could not be started: {reason}")]
    Unavailable { reason: String },
    #[error("the system cannot confine the process: {reason}")]
    Unconfined { reason: String },
    #[error("the process ran out of time")]
    TimedOut,
    #[error("the process ran out of memory")]
    OutOfMemory,
    #[error("{reason}")]
    Failed { reason: String },
}
