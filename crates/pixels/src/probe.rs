//! Type and size of an uploaded file, read from its header.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};

use image::codecs::gif::GifDecoder;
use image::codecs::jpeg::JpegDecoder;
use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ImageDecoder, ImageError, ImageResult, Limits as DecoderLimits};
use image_webp::WebPDecoder;

#[cfg(feature = "avif-originals")]
use crate::codec::avif::heif;
use crate::codec::png;
use crate::codec::webp::container::exif_orientation;
use crate::error::Error;
use crate::info::oriented_size;
use crate::limits::Limits;
use crate::size_limits::check_pixels;
use crate::sniff::sniff;

/// Type and upright size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub media_type: &'static str,
    /// Width and height in pixels; `None` if the type is not decoded here or the header does not state a size.
    pub size: Option<(u32, u32)>,
}

/// Maximum length of profiles, previews and other application segments before the frame header of a JPEG. A JPEG that
/// exceeds it is reported as damaged.
const JPEG_HEADER_BYTES_MAX: u64 = 2 << 20;

/// Maximum length of the metadata boxes of an AVIF, including a profile.
#[cfg(feature = "avif-originals")]
const AVIF_HEADER_BYTES_MAX: u64 = 2 << 20;

/// Reads the header of an image and checks its size against `limits.input_pixels`. Blocks on file I/O.
///
/// # Errors
/// The file is not an image, its header is damaged, or it has too many pixels.
pub fn probe(mut file: File, limits: &Limits) -> Result<Probe, Error> {
    let damaged = |error: ImageError| Error::Damaged { reason: error.to_string() };
    let io = |error: std::io::Error| damaged(ImageError::IoError(error));
    let mut head = Vec::with_capacity(64);
    file.rewind().map_err(io)?;
    (&mut file).take(64).read_to_end(&mut head).map_err(io)?;
    let media_type = sniff(&head).ok_or(Error::NotAnImage)?;
    if media_type == "image/png" {
        // The PNG decoder allocates a row as soon as it has read the header (PNG, third edition, section 11.2.1).
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
            // The JPEG decoder reads its whole input into memory.
            let mut head = Vec::new();
            file.take(JPEG_HEADER_BYTES_MAX).read_to_end(&mut head)?;
            oriented(JpegDecoder::new(Cursor::new(head))?)
        }
        "image/png" => oriented(PngDecoder::with_limits(file, decoder_limits())?),
        "image/webp" => webp(file),
        "image/gif" => oriented(GifDecoder::new(file)?),
        #[cfg(feature = "avif-originals")]
        "image/avif" => {
            // Metadata usually come first. If they do not, the size stays unknown.
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
    let orientation = exif.and_then(|exif| exif_orientation(&exif)).unwrap_or(Orientation::NoTransforms);
    Ok(oriented_size(decoder.dimensions(), orientation))
}

/// Maximum length of a chunk that is read into memory, such as a profile. Longer chunks of a WebP are ignored.
const CHUNK_BYTES_MAX: usize = 8 << 20;

fn decoder_limits() -> DecoderLimits {
    let mut limits = DecoderLimits::no_limits();
    limits.max_alloc = Some(2 * CHUNK_BYTES_MAX as u64);
    limits
}

fn oriented(mut decoder: impl ImageDecoder) -> ImageResult<(u32, u32)> {
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(oriented_size(decoder.dimensions(), orientation))
}
