//! Decodes one image of a WebP file: the only one, or a frame of an animation.

use vp8_planes::{Header as Vp8Header, Incomplete, Limits as Vp8Limits, LoopFilter, Options as Vp8Options};
use vp8l::{Header as Vp8lHeader, Options as Vp8lOptions, Pixel};

use crate::codec::webp::container::Chunks;
use crate::codec::webp::upsample::{fill_rgb, fill_rgba};
use crate::context::RenderContext;
use crate::deadline::Deadline;
use crate::error::{Error, damaged};
use crate::pixels::Pixels;

/// Decodes the image in `chunks` to RGB or RGBA. The result has alpha if the image has it or `has_alpha` is set.
///
/// # Errors
/// The image is missing or damaged, or decoding takes too long.
pub(crate) fn decode(chunks: &Chunks<'_>, has_alpha: bool, context: &RenderContext) -> Result<Pixels, Error> {
    let find = |name: &[u8; 4]| chunks.clone().find(|chunk| chunk.name == name).map(|chunk| chunk.data);
    match (find(b"VP8L"), find(b"VP8 ")) {
        (Some(lossless), _) => decode_lossless(lossless, has_alpha, context),
        (None, Some(lossy)) => decode_lossy(lossy, find(b"ALPH"), context),
        (None, None) => Err(damaged("no image")),
    }
}

fn decode_lossless(data: &[u8], has_alpha: bool, context: &RenderContext) -> Result<Pixels, Error> {
    let limits = Vp8Limits { pixels: context.pixels_max, ..Vp8Limits::default() };
    let header = Vp8lHeader::read(data, &limits).map_err(|error| damaged(error.to_string()))?;
    let should_continue = || context.deadline.is_ahead();
    let options = Vp8lOptions { should_continue: &should_continue };
    let pixels = vp8l::decode(data, &header, &options).map_err(|error| failed(&error, context.deadline))?;
    let (width, height) = (header.width, header.height);
    let count = pixels.len();
    let mut data = pixels.into_flattened();
    if header.has_alpha || has_alpha {
        return Ok(Pixels { width, height, channels: 4, data });
    }
    for n in 1..count {
        data.copy_within(4 * n..4 * n + 3, 3 * n);
    }
    data.truncate(3 * count);
    Ok(Pixels { width, height, channels: 3, data })
}

fn decode_lossy(data: &[u8], alpha: Option<&[u8]>, context: &RenderContext) -> Result<Pixels, Error> {
    let limits = Vp8Limits { pixels: context.pixels_max, ..Vp8Limits::default() };
    let header = Vp8Header::read(data, &limits).map_err(|error| damaged(error.to_string()))?;
    let (width, height) = (header.width, header.height);
    // Alpha is decoded first, into the memory of the result.
    let alpha = alpha.map(|alpha| decode_alpha(alpha, (width, height), context.deadline)).transpose()?;
    let should_continue = || context.deadline.is_ahead();
    let incomplete = if context.keeps_incomplete() { Incomplete::Keep } else { Incomplete::Refuse };
    let options = Vp8Options { incomplete, should_continue: &should_continue };
    let planes = vp8_planes::decode(data, &header, &[LoopFilter::Apply], &options)
        .map_err(|error| failed(&error, context.deadline))?;
    let [luma, blue, red] = planes.as_slice() else { return Err(damaged("a plane is missing")) };
    let planes = [&luma.data[..], &blue.data, &red.data];
    Ok(match alpha {
        Some(mut pixels) => {
            fill_rgba(planes, width as usize, &mut pixels);
            Pixels { width, height, channels: 4, data: pixels.into_flattened() }
        }
        None => {
            let mut pixels = vec![[0; 3]; width as usize * height as usize];
            fill_rgb(planes, width as usize, &mut pixels);
            Pixels { width, height, channels: 3, data: pixels.into_flattened() }
        }
    })
}

/// Decodes an alpha plane (RFC 9649, section 2.7.1.2) into the alpha samples of pixels whose colors are undefined.
fn decode_alpha(chunk: &[u8], (width, height): (u32, u32), deadline: Deadline) -> Result<Vec<Pixel>, Error> {
    let (&info, data) = chunk.split_first().ok_or_else(|| damaged("an empty alpha chunk"))?;
    let pixel_count = width as usize * height as usize;
    let mut pixels = match info & 3 {
        0 => {
            let samples = data.get(..pixel_count).ok_or_else(|| damaged("a truncated alpha chunk"))?;
            samples.iter().map(|alpha| [0, 0, 0, *alpha]).collect()
        }
        1 => {
            let options = Vp8lOptions { should_continue: &|| deadline.is_ahead() };
            let mut pixels =
                vp8l::decode_headerless(data, width, height, &options).map_err(|error| failed(&error, deadline))?;
            pixels.iter_mut().for_each(|pixel| pixel[3] = pixel[1]);
            pixels
        }
        _ => return Err(damaged("an unknown compression of alpha")),
    };
    if info >> 4 & 3 > 1 {
        return Err(damaged("an unknown preprocessing of alpha"));
    }
    unfilter(&mut pixels, width as usize, info >> 2 & 3);
    Ok(pixels)
}

/// Adds the predictions of the filter: none, from the left, from above, or both by a gradient. In the first row all are
/// from the left, and in the first column all are from above.
fn unfilter(pixels: &mut [Pixel], width: usize, filter: u8) {
    if filter == 0 {
        return;
    }
    for y in 0..pixels.len() / width {
        let (above, row) = pixels.split_at_mut(y * width);
        let above = above.get(above.len().saturating_sub(width)..).unwrap_or_default();
        let row = &mut row[..width];
        let mut left = if let Some(above) = above.first() { above[3] } else { 0 };
        let mut corner = left;
        for (x, pixel) in row.iter_mut().enumerate() {
            let top = above.get(x).map_or(left, |above| above[3]);
            let predicted = match filter {
                _ if above.is_empty() => left,
                1 => left,
                2 => top,
                _ if x == 0 => top,
                _ => u8::try_from((i16::from(left) + i16::from(top) - i16::from(corner)).clamp(0, 255)).unwrap_or(0),
            };
            pixel[3] = pixel[3].wrapping_add(predicted);
            (left, corner) = (pixel[3], top);
        }
    }
}

fn failed(error: &vp8l::Error, deadline: Deadline) -> Error {
    match error {
        vp8l::Error::Cancelled => deadline.error(),
        error => damaged(error.to_string()),
    }
}
