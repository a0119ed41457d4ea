//! What an upload is, by its bytes: read from a file, as far as its header goes, before any pixel is decoded.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError, ImageResult, Limits as Allocation};
use image_webp::WebPDecoder;

use crate::header::check_pixels;
use crate::transform::crop::upright;
#[cfg(feature = "avif-originals")]
use crate::sniff;
use crate::codec::png;
use crate::codec::avif::heif;
use crate::codec::webp::container;
use crate::error::RenderError;
use crate::limits::Limits;

/// A picture's type and its size as it is meant to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub media_type: &'static str,
    /// Width and height in pixels; `None` for types that are not decoded here, and where it is not told.
    pub size: Option<(u32, u32)>,
}

/// What may come before the frame header of a JPEG: profiles, previews and other application segments. With more of these
/// it counts as damaged.
const JPEG_HEADER_BYTES_MAX: u64 = 2 << 20;

/// Where an AVIF may say what it is: its boxes of metadata, with a profile in them.
#[cfg(feature = "avif-originals")]
const AVIF_HEADER_BYTES_MAX: u64 = 2 << 20;

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
        check_pixels(png::size(&head), limits)?;
    }
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    let size = size(media_type, BufReader::new(file)).map_err(damaged)?;
    size.map_or(Ok(()), |size| check_pixels(size, limits))?;
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
        "image/png" => oriented(PngDecoder::with_limits(file, allocation())?),
        "image/webp" => webp(file),
        "image/gif" => oriented(GifDecoder::new(file)?),
        #[cfg(feature = "avif-originals")]
        "image/avif" => {
            // Mostly its metadata comes first; where it does not, or is unusual, no size is told.
            let mut head = Vec::new();
            file.take(AVIF_HEADER_BYTES_MAX).read_to_end(&mut head)?;
            return Ok(heif::shown_size(&head));
        }
        _ => return Ok(None),
    }
    .map(Some)
}

fn webp(file: BufReader<File>) -> ImageResult<(u32, u32)> {
    let failed = |error: image_webp::DecodingError| ImageError::IoError(std::io::Error::other(error));
    let mut decoder = WebPDecoder::new(file).map_err(failed)?;
    decoder.set_memory_limit(CHUNK_BYTES_MAX);
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.and_then(|exif| riff::orientation(&exif)).unwrap_or(Orientation::NoTransforms);
    Ok(upright(decoder.dimensions(), orientation))
}

/// What a chunk may have that is read whole, and what becomes of it: a profile, metadata. Longer ones of WebP are passed over.
const CHUNK_BYTES_MAX: usize = 8 << 20;

fn allocation() -> Allocation {
    let mut limits = Allocation::no_limits();
    limits.max_alloc = Some(2 * CHUNK_BYTES_MAX as u64);
    limits
}

fn oriented(mut decoder: impl ImageDecoder) -> ImageResult<(u32, u32)> {
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(upright(decoder.dimensions(), orientation))
}
