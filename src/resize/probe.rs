//! What an upload is, by its bytes: read from a file, as far as its header goes, before any pixel is decoded.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError, ImageResult};

use super::{Limits, RenderError, sniff};

/// A picture's type and its size as it is meant to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub media_type: &'static str,
    /// Width and height in pixels; `None` for types that are not decoded here.
    pub size: Option<(u32, u32)>,
}

/// What may come before the frame header of a JPEG: profiles, previews and other application segments. With more of these
/// it counts as damaged.
const JPEG_HEADER_BYTES_MAX: u64 = 2 << 20;

/// Reads the header of a picture and holds its size against `limits.input_pixels`. To be called where it may block.
///
/// # Errors
/// No picture, a damaged header, or too many pixels.
pub fn probe(mut file: File, limits: &Limits) -> Result<Probe, RenderError> {
    let damaged = |error: ImageError| RenderError::Damaged { reason: error.to_string() };
    let io = |error: std::io::Error| damaged(ImageError::IoError(error));
    let mut head = Vec::with_capacity(64);
    file.rewind().map_err(io)?;
    (&mut file).take(64).read_to_end(&mut head).map_err(io)?;
    let media_type = sniff(&head).ok_or(RenderError::NotAnImage)?;
    if media_type == "image/png" {
        // Its decoder allocates a row as soon as it has the header (PNG, third edition, section 11.2.1).
        let at = |at: usize| head.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |n| u32::from_be_bytes(*n));
        check((at(16), at(20)), limits)?;
    }
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let size = size(media_type, BufReader::new(file)).map_err(damaged)?;
    size.map_or(Ok(()), |size| check(size, limits))?;
    Ok(Probe { media_type, size })
}

fn size(media_type: &str, file: BufReader<File>) -> ImageResult<Option<(u32, u32)>> {
    match media_type {
        "image/jpeg" => {
            // Its decoder reads all it is given into memory.
            let mut head = Vec::new();
            file.take(JPEG_HEADER_BYTES_MAX).read_to_end(&mut head)?;
            oriented(JpegDecoder::new(Cursor::new(head))?)
        }
        "image/png" => oriented(PngDecoder::new(file)?),
        "image/webp" => oriented(WebPDecoder::new(file)?),
        "image/gif" => oriented(GifDecoder::new(file)?),
        _ => return Ok(None),
    }
    .map(Some)
}

fn oriented(mut decoder: impl ImageDecoder) -> ImageResult<(u32, u32)> {
    let (width, height) = decoder.dimensions();
    Ok(match decoder.orientation().unwrap_or(Orientation::NoTransforms) {
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            (height, width)
        }
        _ => (width, height),
    })
}

fn check((width, height): (u32, u32), limits: &Limits) -> Result<(), RenderError> {
    if width == 0 || height == 0 {
        return Err(RenderError::Damaged { reason: "it has no pixels".to_owned() });
    }
    if u64::from(width) * u64::from(height) > limits.input_pixels {
        return Err(RenderError::TooManyPixels { width, height, pixels_max: limits.input_pixels });
    }
    Ok(())
}
