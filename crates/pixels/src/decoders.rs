//! The decoders that run only in a sandboxed process, see [`Sandbox`](crate::Sandbox).
//!
//! Each converts to the samples that the server expects according to the header, so that a reply has a known size. The
//! server trusts only its own readers of headers, which are not these decoders.

use std::io;
use std::time::Duration;

#[cfg(feature = "avif-originals")]
use crate::codec::avif::av1;
#[cfg(feature = "heic")]
use crate::codec::heic;
#[cfg(feature = "jxl-originals")]
use crate::codec::jxl;
#[cfg(feature = "svg-originals")]
use crate::codec::svg;
#[cfg(feature = "tiff-originals")]
use crate::codec::tiff;
#[cfg(feature = "bmp-originals")]
use crate::codec::{bmp, ico};
use crate::pixel_image::{DeepPixelImage, ImageShape, PixelImage};
use crate::sandbox::{DecodeRequest, SandboxFormat, SandboxImage};
use crate::yuv_image::{Cicp, YuvImage, YuvSamples};

/// An image decoded in this process, before its samples are copied.
pub struct DecodedImage(Box<dyn Samples>);

/// The result of a decoder.
pub(crate) trait Samples {
    fn shape(&self) -> ImageShape;

    /// The color description of YUV planes; unspecified for pixels.
    fn cicp(&self) -> Cicp {
        Cicp::UNSPECIFIED
    }

    /// The ICC profile of pixels.
    fn profile(&self) -> Option<&[u8]> {
        None
    }

    fn write(&self, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()>;

    fn into_image(self: Box<Self>) -> SandboxImage;
}

/// Decodes an image in this process. The process must be confined unless the data are trusted: a decoder can abort, take
/// any amount of time and memory, or have errors in its `unsafe` code.
///
/// # Errors
/// The reason why the data could not be decoded, or their shape if it is not the requested one.
pub fn decode(request: &DecodeRequest<'_>) -> Result<DecodedImage, String> {
    let samples = decode_samples(request)?;
    let (shape, expected) = (samples.shape(), request.shape);
    if shape != expected {
        return Err(format!("its data have {shape}, and its header says {expected}"));
    }
    Ok(DecodedImage(samples))
}

fn decode_samples(request: &DecodeRequest<'_>) -> Result<Box<dyn Samples>, String> {
    match (request.format, request.shape) {
        #[cfg(feature = "avif-originals")]
        (SandboxFormat::Av1, ImageShape::Yuv(shape)) => {
            let picture = av1::decode(request.bytes, shape.width.saturating_mul(shape.height));
            Ok(Box::new(picture.map_err(|error| error.to_string())?))
        }
        #[cfg(feature = "heic")]
        (SandboxFormat::Hevc, ImageShape::Yuv(shape)) => Ok(Box::new(heic::decode(request.bytes, shape)?)),
        #[cfg(feature = "jxl-originals")]
        (SandboxFormat::JpegXl, ImageShape::Pixels(shape)) => Ok(Box::new(jxl::decode::decode(request.bytes, shape)?)),
        #[cfg(feature = "jxl-originals")]
        (SandboxFormat::JpegXl, ImageShape::DeepPixels(shape)) => {
            Ok(Box::new(jxl::decode::decode_deep(request.bytes, shape)?))
        }
        #[cfg(feature = "tiff-originals")]
        (SandboxFormat::Tiff, ImageShape::DeepPixels(shape)) => {
            Ok(Box::new(tiff::decode::decode_deep(request.bytes, shape)?))
        }
        #[cfg(feature = "tiff-originals")]
        (SandboxFormat::Tiff, ImageShape::Pixels(shape)) => Ok(Box::new(tiff::decode::decode(request.bytes, shape)?)),
        #[cfg(feature = "bmp-originals")]
        (SandboxFormat::Bmp, ImageShape::Pixels(shape)) => Ok(Box::new(bmp::decode::decode(request.bytes, shape)?)),
        #[cfg(feature = "bmp-originals")]
        (SandboxFormat::Ico, ImageShape::Pixels(shape)) => Ok(Box::new(ico::decode::decode(request.bytes, shape)?)),
        #[cfg(feature = "svg-originals")]
        (SandboxFormat::Svg, ImageShape::Pixels(shape)) => Ok(Box::new(svg::decode::decode(request.bytes, shape)?)),
        (format, _) => Err(format!("this build has no decoder of {format:?} that returns {}", request.shape)),
    }
}

/// Sanitizes an SVG in this process, which must be confined unless the file is trusted: it can take any amount of time.
///
/// # Errors
/// The reason why the file cannot be sanitized.
#[cfg_attr(not(feature = "svg-originals"), expect(unused_variables, reason = "the feature contains the sanitizer"))]
pub fn sanitize_svg(svg: &[u8]) -> Result<Vec<u8>, String> {
    #[cfg(feature = "svg-originals")]
    return svg::sanitize::sanitize(svg);
    #[cfg(not(feature = "svg-originals"))]
    Err("this build has no sanitizer of SVG".to_owned())
}

/// The frames of an animation, each of which is decoded when it is requested.
pub struct DecodedFrames<'a> {
    frames: Box<dyn Frames + 'a>,
    shape: ImageShape,
}

/// A frame and the time that it is shown.
pub(crate) type Frame = (Box<dyn Samples>, Duration);

/// A decoder of an animation.
pub(crate) trait Frames {
    /// The next frame and its duration. `None` after the last one.
    fn next(&mut self) -> Result<Option<Frame>, String>;
}

/// Starts to decode an animation in this process, see [`decode`].
///
/// # Errors
/// The reason why the data could not be decoded.
pub fn decode_animation<'a>(request: &DecodeRequest<'a>) -> Result<DecodedFrames<'a>, String> {
    Ok(DecodedFrames { frames: open_frames(request)?, shape: request.shape })
}

fn open_frames<'a>(request: &DecodeRequest<'a>) -> Result<Box<dyn Frames + 'a>, String> {
    match (request.format, request.shape) {
        #[cfg(feature = "avif-originals")]
        (SandboxFormat::Av1, ImageShape::Yuv(shape)) => {
            let frames = av1::Av1Frames::open(request.bytes, shape.width.saturating_mul(shape.height));
            Ok(Box::new(frames.map_err(|error| error.to_string())?))
        }
        #[cfg(feature = "jxl-originals")]
        (SandboxFormat::JpegXl, ImageShape::Pixels(shape)) => {
            Ok(Box::new(jxl::decode::FileDecoder::open(request.bytes, shape)?))
        }
        (format, _) => Err(format!("this build has no decoder of animated {format:?}")),
    }
}

impl DecodedFrames<'_> {
    /// Decodes the next frame, and returns its duration. `None` after the last one.
    ///
    /// # Errors
    /// The reason why the frame could not be decoded, or its shape if it is not the requested one.
    pub fn next_frame(&mut self) -> Result<Option<(DecodedImage, Duration)>, String> {
        let Some((samples, duration)) = self.frames.next()? else { return Ok(None) };
        let (shape, expected) = (samples.shape(), self.shape);
        if shape != expected {
            return Err(format!("a frame has {shape}, and its header says {expected}"));
        }
        Ok(Some((DecodedImage(samples), duration)))
    }
}

impl DecodedImage {
    #[must_use]
    pub fn shape(&self) -> ImageShape {
        self.0.shape()
    }

    /// The color description of YUV planes; unspecified for pixels.
    #[must_use]
    pub fn cicp(&self) -> Cicp {
        self.0.cicp()
    }

    /// The ICC profile of pixels.
    #[must_use]
    pub fn profile(&self) -> Option<&[u8]> {
        self.0.profile()
    }

    /// Passes the bytes of all samples to `write`, in order. Samples of more than 8 bits have native byte order.
    ///
    /// # Errors
    /// The first error of `write`.
    pub fn write_samples(&self, mut write: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.0.write(&mut write)
    }

    /// The samples, as a sandboxed process returns them.
    #[must_use]
    pub fn into_image(self) -> SandboxImage {
        self.0.into_image()
    }
}

impl Samples for YuvImage {
    fn shape(&self) -> ImageShape {
        ImageShape::Yuv(Self::shape(self))
    }

    fn cicp(&self) -> Cicp {
        self.cicp
    }

    fn write(&self, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.planes.iter().try_for_each(|plane| match plane {
            YuvSamples::U8(samples) => to(samples),
            YuvSamples::U16(samples) => samples.iter().try_for_each(|sample| to(&sample.to_ne_bytes())),
        })
    }

    fn into_image(self: Box<Self>) -> SandboxImage {
        SandboxImage::Yuv(*self)
    }
}

impl Samples for DeepPixelImage {
    fn shape(&self) -> ImageShape {
        ImageShape::DeepPixels(self.shape)
    }

    fn profile(&self) -> Option<&[u8]> {
        self.profile.as_deref()
    }

    fn write(&self, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.data.iter().try_for_each(|sample| to(&sample.to_ne_bytes()))
    }

    fn into_image(self: Box<Self>) -> SandboxImage {
        SandboxImage::DeepPixels(*self)
    }
}

impl Samples for PixelImage {
    fn shape(&self) -> ImageShape {
        ImageShape::Pixels(self.shape)
    }

    fn profile(&self) -> Option<&[u8]> {
        self.profile.as_deref()
    }

    fn write(&self, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        to(&self.data)
    }

    fn into_image(self: Box<Self>) -> SandboxImage {
        SandboxImage::Pixels(*self)
    }
}
