//! Decodes AVIF and HEIC originals: the container is parsed here, and the codestreams are decoded by a
//! [`Sandbox`](crate::Sandbox).

use std::borrow::Cow;

use crate::codec::decoded::{Decoded, DecodedPixels, DeepPixels};
use crate::codec::heif::container::{Coding, HeifImage, Layer, Sequence, Tile, Track};
use crate::codec::heif::grid_canvas::GridCanvas;
use crate::codec::heif::{hevc_file, yuv};
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
pub(crate) fn read_info(original: &[u8], coding: Coding, limits: &Limits) -> Result<(ImageInfo, u64), Error> {
    let image = HeifImage::read(original, coding).map_err(|error| match error {
        Error::UnsupportedFormat { format, .. } => Error::UnsupportedFormat { format, accepted: limits.originals },
        error => error,
    })?;
    check_pixels(image.decoded_size(), limits)?;
    Ok((image.info(), sandbox_bytes(&image)))
}

/// Decodes to planes if the image can be scaled as planes, else to pixels.
///
/// # Errors
/// The original is damaged or takes too long, or the sandbox cannot be started.
pub(crate) fn decode(
    original: &[u8],
    coding: Coding,
    info: &ImageInfo,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<Decoded, Error> {
    let image = HeifImage::read(original, coding)?;
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
    coding: Coding,
    info: &ImageInfo,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<DeepPixels, Error> {
    let image = HeifImage::read(original, coding)?;
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
    coding: Coding,
    info: &ImageInfo,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<DecodedPixels, Error> {
    let image = HeifImage::read(original, coding)?;
    let (color, alpha) = decode_layers(&image, sandbox_bytes, context)?;
    convert(&image, &color, alpha.as_ref(), info, context)
}

fn convert(
    image: &HeifImage<'_>,
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
    image: &HeifImage<'_>,
    sandbox_bytes: u64,
    context: &RenderContext,
) -> Result<(YuvImage, Option<YuvImage>), Error> {
    let mut session =
        SandboxSession::start(SandboxTask::Decode, sandbox_bytes, |error| damaged(error.to_string()), context)?;
    let mut decode_layer = |layer: &Layer<'_>| {
        let mut canvas = GridCanvas::new(layer);
        for tile in &layer.tiles {
            let (format, bytes) = match tile.config {
                Some(config) => (SandboxFormat::Hevc, Cow::Owned(hevc_file::with_image(config, &tile.extents)?)),
                None => (SandboxFormat::Av1, tile.bytes()),
            };
            let request = DecodeRequest { format, bytes: &bytes, shape: ImageShape::Yuv(shape(layer)) };
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

fn layers<'a, 'b>(image: &'a HeifImage<'b>) -> impl Iterator<Item = &'a Layer<'b>> {
    std::iter::once(&image.color).chain(&image.alpha)
}

/// The expected format of the tiles of a layer.
pub(crate) fn shape(layer: &Layer<'_>) -> YuvShape {
    let (width, height) = layer.tile_size;
    YuvShape { width, height, depth: layer.depth, sampling: layer.sampling }
}

/// Upper bound, in bytes, on the memory that the sandbox allocates for one tile.
fn sandbox_bytes(image: &HeifImage<'_>) -> u64 {
    let layer_bytes = |layer: &Layer<'_>| {
        let coded = layer.tiles.iter().map(|tile| tile.len() as u64).max().unwrap_or(0);
        let copied = layer.tiles.iter().map(Tile::copied_bytes).max().unwrap_or(0);
        match layer.tiles.first().and_then(|tile| tile.config) {
            // The file, its parsed content, the units and the units without escape bytes.
            Some(_) => hevc_bytes(layer) + 4 * copied,
            None => match &image.sequence {
                Some(sequence) => av1_bytes(layer, REFERENCE_FRAMES) + 2 * coded + sequence_bytes(sequence),
                None => av1_bytes(layer, 0) + 2 * coded,
            },
        }
    };
    layers(image).map(layer_bytes).max().unwrap_or(0) + PROCESS_BYTES
}

/// Upper bound, in bytes, on the memory of the AV1 decoder in addition to its input. It was measured for 0.3 to 12
/// megapixels with 8 to 12 bits in every subsampling, lossy and lossless, with and without film grain. It consists of
/// two copies of the image (one with film grain), the block metadata of the decoder, and both
/// for each of `references` earlier frames.
fn av1_bytes(layer: &Layer<'_>, references: u64) -> u64 {
    // The decoder pads both sides to a multiple of the superblock size, plus a margin.
    let padded = |side: u32| u64::from(side.next_multiple_of(128)) + 64;
    let pixels = padded(layer.coded_size.0) * padded(layer.coded_size.1);
    let planes = samples(layer, pixels) * if layer.depth == 8 { 1 } else { 2 };
    (2 + references) * planes + (1 + references) * AV1_BLOCK_BYTES * pixels
}

/// Number of earlier frames to which a frame can refer (AV1, section 3, NUM_REF_FRAMES).
const REFERENCE_FRAMES: u64 = 8;

/// The samples of the longer track, and the longest sample once more.
fn sequence_bytes(sequence: &Sequence<'_>) -> u64 {
    let track = |track: &Track<'_>| 3 * (track.len() + 4 * track.samples.len() as u64);
    track(&sequence.color).max(sequence.alpha.as_ref().map_or(0, track))
}

/// Upper bound, in bytes, on the memory of the HEVC decoder in addition to its input: copies of the samples with four bytes
/// each, some of which grow by doubling, and the block metadata. For 1 to 17 megapixels in one image, it took up to 22 bytes
/// of addresses per pixel in 4:2:0, and 42 in 4:4:4.
fn hevc_bytes(layer: &Layer<'_>) -> u64 {
    let padded = |side: u32| u64::from(side) + 64;
    let pixels = padded(layer.coded_size.0) * padded(layer.coded_size.1);
    HEVC_SAMPLE_BYTES * samples(layer, pixels) + HEVC_BLOCK_BYTES * pixels
}

/// Number of samples of that many pixels.
fn samples(layer: &Layer<'_>, pixels: u64) -> u64 {
    match layer.sampling {
        ChromaSubsampling::Cs400 => pixels,
        ChromaSubsampling::Cs420 => pixels * 3 / 2,
        ChromaSubsampling::Cs422 => pixels * 2,
        ChromaSubsampling::Cs444 => pixels * 3,
    }
}

/// Block metadata of the decoders, in bytes per pixel.
const AV1_BLOCK_BYTES: u64 = 2;
const HEVC_BLOCK_BYTES: u64 = 3;

/// Copies of a sample in the HEVC decoder, in bytes.
const HEVC_SAMPLE_BYTES: u64 = 14;
