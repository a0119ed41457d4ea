//! Decodes AVIF originals: the container is parsed here, and the AV1 data is decoded by a [`Sandbox`](crate::Sandbox).

use crate::codec::avif::grid_canvas::GridCanvas;
use crate::codec::avif::heif::{AvifImage, Layer};
use crate::codec::avif::yuv;
use crate::codec::decoded::{Decoded, DecodedPixels, DeepPixels};
use crate::context::RenderContext;
use crate::error::{Error, damaged};
use crate::info::ImageInfo;
use crate::limits::Limits;
use crate::pixel_image::ImageShape;
use crate::sandbox::session::SandboxSession;
use crate::sandbox::{DecodeRequest, PROCESS_BYTES, SandboxFormat, SandboxImage, SandboxTask};
use crate::size_limits::check_pixels;
use crate::yuv_image::{ChromaSubsampling, YuvImage, YuvShape};

/// Reads the header. Also returns the memory limit of the sandbox in bytes.
///
/// # Errors
/// The header is damaged, or the uncropped image has more pixels than `limits.input_pixels`.
pub(crate) fn read_info(original: &[u8], limits: &Limits) -> Result<(ImageInfo, u64), Error> {
    let image = AvifImage::read(original)?;
    check_pixels(image.decoded_size(), limits)?;
    Ok((image.info()?, sandbox_bytes(&image)))
}

/// Decodes to planes if the image can be scaled as planes, else to pixels.
///
/// # Errors
/// The original is damaged or takes too long, or the sandbox cannot be started.
pub(crate) fn decode(
    original: &[u8],
    info: &ImageInfo,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<Decoded, Error> {
    let image = AvifImage::read(original)?;
    let (color, alpha) = decode_layers(&image, sandbox_bytes, context)?;
    match yuv::planes(&image, color, context.encode.color) {
        Ok(planes) => Ok(Decoded::Planes(planes)),
        Err(color) => convert(&image, &color, alpha.as_ref(), info, context).map(Decoded::Pixels),
    }
}

/// Decodes to pixels of 16 bits.
///
/// # Errors
/// See [`decode`].
pub(crate) fn decode_deep(
    original: &[u8],
    info: &ImageInfo,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<DeepPixels, Error> {
    let image = AvifImage::read(original)?;
    let (color, alpha) = decode_layers(&image, sandbox_bytes, context)?;
    let decoded = yuv::deep_pixels(&image, &color, alpha.as_ref(), context)?;
    check_size((decoded.pixels.width, decoded.pixels.height), info, context)?;
    Ok(decoded)
}

/// Decodes to pixels.
///
/// # Errors
/// See [`decode`].
pub(crate) fn decode_pixels(
    original: &[u8],
    info: &ImageInfo,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let image = AvifImage::read(original)?;
    let (color, alpha) = decode_layers(&image, sandbox_bytes, context)?;
    convert(&image, &color, alpha.as_ref(), info, context)
}

fn convert(
    image: &AvifImage<'_>,
    color: &YuvImage,
    alpha: Option<&YuvImage>,
    info: &ImageInfo,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let decoded = yuv::pixels(image, color, alpha, context)?;
    check_size((decoded.pixels.width, decoded.pixels.height), info, context)?;
    Ok(decoded)
}

fn check_size(size: (u32, u32), info: &ImageInfo, context: &RenderContext) -> Result<(), Error> {
    context.deadline.check()?;
    if size != (info.width, info.height) {
        return Err(damaged("the decoded size differs from the header"));
    }
    Ok(())
}

/// Decodes the color layer and the alpha layer tile by tile in one process, which ends afterwards.
fn decode_layers(
    image: &AvifImage<'_>,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<(YuvImage, Option<YuvImage>), Error> {
    let mut session =
        SandboxSession::start(SandboxTask::Decode, sandbox_bytes, |error| damaged(error.to_string()), context)?;
    let mut decode_layer = |layer: &Layer<'_>| {
        let mut canvas = GridCanvas::new(layer);
        for tile in &layer.tiles {
            let (bytes, shape) = (tile.bytes(), ImageShape::Yuv(shape(layer)));
            let request = DecodeRequest { format: SandboxFormat::Av1, bytes: &bytes, shape };
            match session.run(|worker| worker.decode(&request))? {
                SandboxImage::Yuv(image) => canvas.push_tile(image)?,
                SandboxImage::Pixels(_) | SandboxImage::DeepPixels(_) => {
                    return Err(damaged("the decoder returned pixels instead of planes"));
                }
            }
        }
        canvas.finish()
    };
    let color = decode_layer(&image.color)?;
    Ok((color, image.alpha.as_ref().map(decode_layer).transpose()?))
}

fn layers<'a, 'b>(image: &'a AvifImage<'b>) -> impl Iterator<Item = &'a Layer<'b>> {
    std::iter::once(&image.color).chain(&image.alpha)
}

/// The expected format of the tiles of a layer.
fn shape(layer: &Layer<'_>) -> YuvShape {
    let (width, height) = layer.tile_size;
    YuvShape { width, height, depth: layer.depth, sampling: layer.sampling }
}

/// Upper bound, in bytes, on the memory that the sandbox allocates for one tile. It was measured for 0.3 to 12
/// megapixels with 8 to 12 bits in every subsampling, lossy and lossless, with and without film grain. It consists of
/// two copies of the image (one with film grain), the block metadata of the decoder, and two copies of the input.
fn sandbox_bytes(image: &AvifImage<'_>) -> u64 {
    let layer_bytes = |layer: &Layer<'_>| {
        let YuvShape { width, height, depth, sampling } = shape(layer);
        // The decoder pads both sides to a multiple of the superblock size, plus a margin.
        let padded = |side: u32| u64::from(side.next_multiple_of(128)) + 64;
        let pixels = padded(width) * padded(height);
        let samples = match sampling {
            ChromaSubsampling::Cs400 => pixels,
            ChromaSubsampling::Cs420 => pixels * 3 / 2,
            ChromaSubsampling::Cs422 => pixels * 2,
            ChromaSubsampling::Cs444 => pixels * 3,
        };
        let planes = samples * if depth == 8 { 1 } else { 2 };
        let coded = layer.tiles.iter().map(|tile| tile.len() as u64).max().unwrap_or(0);
        2 * planes + BLOCK_METADATA_BYTES * pixels + 2 * coded
    };
    layers(image).map(layer_bytes).max().unwrap_or(0) + PROCESS_BYTES
}

/// Block metadata of the decoder, in bytes per pixel.
const BLOCK_METADATA_BYTES: u64 = 2;
