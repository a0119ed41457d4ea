//! Decodes originals whose decoders return pixels from a [`Sandbox`](crate::Sandbox).

use crate::codec::decoded::DecodedPixels;
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::pixel_image::{ImageShape, PixelImage, PixelLayout, PixelShape};
use crate::pixels::Pixels;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{DecodeRequest, SandboxFormat, SandboxImage, SandboxTask};
use crate::transform::color::Conversion;

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
    let failed = |error: crate::SandboxError| damaged(error.to_string());
    let mut session = SandboxSession::start(SandboxTask::Decode, pixels.sandbox_bytes, failed, context)?;
    let request = DecodeRequest { format, bytes, shape: ImageShape::Pixels(pixels.shape) };
    let image = session.run(|worker| worker.decode(&request))?;
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
    let SandboxImage::Pixels(PixelImage { shape, profile, data }) = image else {
        return Err(damaged("the decoder returned planes instead of pixels"));
    };
    let PixelShape { width, height, layout } = shape;
    let channels = layout.channels();
    if shape != expected.shape || data.len() as u64 != u64::from(width) * u64::from(height) * u64::from(channels) {
        return Err(damaged("the decoded size differs from the header"));
    }
    let conversion = match layout {
        PixelLayout::Cmyk => Conversion::from_cmyk_icc(profile.as_deref()),
        _ => Conversion::from_icc(profile.as_deref(), channels, context.encode.color),
    };
    Ok(DecodedPixels { pixels: Pixels { width, height, channels, data }, conversion })
}
