//! Decodes originals whose decoders return pixels from a [`Sandbox`](crate::Sandbox).

use crate::codec::decoded::{DecodedPixels, DeepPixels};
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::pixel_image::{DeepPixelImage, ImageShape, PixelImage, PixelLayout, PixelShape};
use crate::pixels::Pixels;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{DecodeRequest, SandboxFormat, SandboxImage, SandboxTask};
use crate::transform::color::{Conversion, DeepConversion, parse_profile};

/// The pixels that a header states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SandboxedPixels {
    pub(crate) shape: PixelShape,
    /// Memory limit of the process.
    pub(crate) sandbox_bytes: u64,
}

/// Decodes an original in a process that ends afterwards.
///
/// # Errors
/// The original is damaged or takes too long, or the sandbox cannot be started.
pub(crate) fn decode(
    format: SandboxFormat,
    bytes: &[u8],
    pixels: SandboxedPixels,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let image = run(DecodeRequest { format, bytes, shape: ImageShape::Pixels(pixels.shape) }, pixels, context)?;
    to_decoded(image, pixels, context)
}

/// Checks the reply of a process, and adds the conversion of its colors.
///
/// # Errors
/// The reply has another shape.
pub(crate) fn to_decoded(
    image: SandboxImage,
    expected: SandboxedPixels,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let SandboxImage::Pixels(PixelImage { shape, profile, data }) = image else { return Err(other_samples()) };
    check(shape, data.len(), expected)?;
    let PixelShape { width, height, layout } = shape;
    let channels = layout.channels();
    let conversion = match layout {
        PixelLayout::Cmyk => Conversion::from_cmyk_icc(profile.as_deref()),
        _ => Conversion::from_icc(profile.as_deref(), channels, context.encode.color),
    };
    Ok(DecodedPixels { pixels: Pixels { width, height, channels, data }, conversion })
}

/// Like [`decode`], with 16 bits per sample. The colors are not inks.
///
/// # Errors
/// See [`decode`].
pub(crate) fn decode_deep(
    format: SandboxFormat,
    bytes: &[u8],
    pixels: SandboxedPixels,
    context: &RenderContext,
) -> Result<DeepPixels, Error> {
    let image = run(DecodeRequest { format, bytes, shape: ImageShape::DeepPixels(pixels.shape) }, pixels, context)?;
    let SandboxImage::DeepPixels(DeepPixelImage { shape, profile, data }) = image else { return Err(other_samples()) };
    check(shape, data.len(), pixels)?;
    let PixelShape { width, height, layout } = shape;
    let channels = layout.channels();
    let profile = profile.as_deref().and_then(parse_profile);
    let eight = match &profile {
        Some(profile) => Conversion::from_profile(profile, channels, context.encode.color),
        None => Conversion::NONE,
    };
    let conversion = DeepConversion::new(eight, profile);
    Ok(DeepPixels { pixels: Pixels { width, height, channels, data }, conversion })
}

fn run(request: DecodeRequest<'_>, pixels: SandboxedPixels, context: &RenderContext) -> Result<SandboxImage, Error> {
    let failed = |error: crate::SandboxError| damaged(error.to_string());
    let mut session = SandboxSession::start(SandboxTask::Decode, pixels.sandbox_bytes, failed, context)?;
    session.run(|worker| worker.decode(&request))
}

fn other_samples() -> Error {
    damaged("the decoder returned other samples than requested")
}

fn check(shape: PixelShape, samples: usize, pixels: SandboxedPixels) -> Result<(), Error> {
    let PixelShape { width, height, layout } = shape;
    let expected = u64::from(width) * u64::from(height) * u64::from(layout.channels());
    if shape != pixels.shape || samples as u64 != expected {
        return Err(damaged("the decoded size differs from the header"));
    }
    Ok(())
}
