//! AVIF originals: their boxes are read here, and the AV1 in them is decoded by a process of its own.

use crate::codec::avif::yuv_image::{Coded, Sampling};
use crate::codec::decoded::Decoded;
use crate::context::Job;
use crate::info::Facts;
use super::decoder::{Decoder, Shape};
use crate::codec::avif::yuv;
use crate::codec::avif::grid_canvas::Assembly;
use crate::codec::avif::heif::{Layer, Picture};
use crate::error::RenderError;
use crate::header::{Header, check_pixels};
use crate::limits::Limits;
use crate::render::source::Source;

/// What the header says, and how many bytes the process that decodes may take.
///
/// # Errors
/// A damaged header, or more pixels than `limits.input_pixels` in what is coded, shown or not.
pub(crate) fn facts(original: &[u8], limits: &Limits) -> Result<(Facts, u64), RenderError> {
    let picture = Picture::read(original)?;
    check_pixels(picture.decoded_size(), limits)?;
    Ok((picture.facts()?, process_bytes(&picture)))
}

/// Decodes to planes where the picture is made of such as can be used, else to pixels.
///
/// # Errors
/// The original is damaged or takes too long, or the process cannot be started.
pub(crate) fn decode(original: &[u8], header: &Header, job: &Job) -> Result<Source, RenderError> {
    let picture = Picture::read(original)?;
    let (colour, alpha) = coded(&picture, header, job)?;
    // Planes are scaled as they are coded, which is not as light.
    if job.finish.linear_light {
        return made(&picture, &colour, alpha.as_ref(), header, job).map(Source::Pixels);
    }
    match yuv::planes(&picture, colour) {
        Ok(planar) => Ok(Source::Planes(planar)),
        Err(colour) => made(&picture, &colour, alpha.as_ref(), header, job).map(Source::Pixels),
    }
}

/// Decodes to pixels.
///
/// # Errors
/// See [`decode`].
pub(crate) fn pixels(original: &[u8], header: &Header, job: &Job) -> Result<Decoded, RenderError> {
    let picture = Picture::read(original)?;
    let (colour, alpha) = coded(&picture, header, job)?;
    made(&picture, &colour, alpha.as_ref(), header, job)
}

fn made(
    picture: &Picture<'_>,
    colour: &Coded,
    alpha: Option<&Coded>,
    header: &Header,
    job: &Job,
) -> Result<Decoded, RenderError> {
    let decoded = yuv::pixels(picture, colour, alpha, job)?;
    job.deadline.check()?;
    if (decoded.pixels.width, decoded.pixels.height) != (header.width, header.height) {
        return Err(RenderError::Damaged { reason: "its size is not what its header says".to_owned() });
    }
    Ok(decoded)
}

/// Colours and alpha, decoded tile by tile by one process, which is gone when they are there.
fn coded(picture: &Picture<'_>, header: &Header, job: &Job) -> Result<(Coded, Option<Coded>), RenderError> {
    let mut decoder = Decoder::start(header.apart_bytes, job.deadline)?;
    let mut layer = |layer: &Layer<'_>| {
        let mut whole = Assembly::of(layer);
        for tile in &layer.tiles {
            whole.put(decoder.decode(&tile.bytes(), shape(layer))?)?;
        }
        whole.finish()
    };
    let colour = layer(&picture.colour)?;
    Ok((colour, picture.alpha.as_ref().map(layer).transpose()?))
}

fn layers<'a, 'b>(picture: &'a Picture<'b>) -> impl Iterator<Item = &'a Layer<'b>> {
    std::iter::once(&picture.colour).chain(&picture.alpha)
}

/// What each tile of the layer is.
fn shape(layer: &Layer<'_>) -> Shape {
    let (width, height) = layer.tile_size;
    Shape { width, height, depth: layer.depth, sampling: layer.sampling }
}

/// What the process takes besides: rav1d's tables, and what the allocator loses. That of musl builds rounds to where large blocks
/// begin, and needed up to 22 MiB more than glibc's.
const PROCESS_BYTES: u64 = if cfg!(target_env = "musl") { 24 << 20 } else { 4 << 20 };

/// An upper bound, in bytes, of what the process allocates for any one tile: measured for 0.3 to 12 megapixels of 8 to 12 bits in
/// every sampling, with and without film grain and loss. Then it is at most the picture twice, once with its grain; the
/// decoder's notes on its blocks; and what is decoded twice, as it came and as the decoder keeps it.
fn process_bytes(picture: &Picture<'_>) -> u64 {
    let of_layer = |layer: &Layer<'_>| {
        let Shape { width, height, depth, sampling } = shape(layer);
        // The decoder's rows and columns go on to the end of a superblock, and a bit beyond.
        let whole = |side: u32| u64::from(side.next_multiple_of(128)) + 64;
        let pixels = whole(width) * whole(height);
        let samples = match sampling {
            Sampling::Grey => pixels,
            Sampling::Halved => pixels * 3 / 2,
            Sampling::Narrowed => pixels * 2,
            Sampling::Full => pixels * 3,
        };
        let planes = samples * if depth == 8 { 1 } else { 2 };
        let coded = layer.tiles.iter().map(|tile| tile.len() as u64).max().unwrap_or(0);
        2 * planes + NOTES * pixels + 2 * coded
    };
    layers(picture).map(of_layer).max().unwrap_or(0) + PROCESS_BYTES
}

/// Bytes that the decoder notes for each pixel.
const NOTES: u64 = 2;
