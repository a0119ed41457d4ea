//! Type and size of an uploaded file, read from its header.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use image::metadata::Orientation;

use crate::codec::heif::container::{self as heif, Coding};
use crate::codec::jxl::JxlHeader;
use crate::codec::tiff::TiffHeader;
use crate::codec::webp::container;
use crate::codec::{bmp, gif, ico, jpeg, png, svg};
use crate::codecs::Codec;
use crate::error::{Error, damaged};
use crate::header::unknown;
use crate::info::{ImageInfo, oriented_size};
use crate::limits::Limits;
use crate::size_limits::check_pixels;
use crate::sniff::{is_svg, sniff};

/// Type and upright size of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    pub media_type: &'static str,
    /// Width and height in pixels; `None` if the type is not decoded here or the header does not state a size.
    pub size: Option<(u32, u32)>,
}

/// Maximum length of the part of a file that is read into memory. A JPEG whose frame header comes later is reported as
/// damaged. The orientation of a PNG, and the size of an AVIF, are unknown if they come later.
const HEAD_BYTES_MAX: u64 = 2 << 20;

/// Length of the part of a file from which its type is detected.
const SNIFFED_BYTES: u64 = 4 << 10;

/// Maximum length of EXIF data that is read. Longer data are ignored.
const EXIF_BYTES_MAX: u32 = 1 << 20;

/// Reads the header of an image and checks its size against `limits.input_pixels`. Blocks on file I/O. Allocates at most
/// [`HEADER_BYTES_MAX`](crate::HEADER_BYTES_MAX).
///
/// # Errors
/// The file is not an image, its header is damaged, or it has too many pixels.
pub fn probe(mut file: File, limits: &Limits) -> Result<Probe, Error> {
    let mut head = Vec::new();
    file.rewind().map_err(|error| unreadable(&error))?;
    (&mut file).take(SNIFFED_BYTES).read_to_end(&mut head).map_err(|error| unreadable(&error))?;
    let accepts_svg = limits.originals.contains(Codec::Svg) && Codec::Svg.is_built_in();
    let svg = (accepts_svg && is_svg(&head)).then_some(Codec::Svg.media_type());
    let media_type = sniff(&head).or(svg).ok_or_else(|| unknown(&head, limits))?;
    file.rewind().map_err(|error| unreadable(&error))?;
    let size = size(media_type, file, limits)?;
    // The size of a vector picture does not limit its variants.
    if let Some(size) = size
        && svg.is_none()
    {
        check_pixels(size, limits)?;
    }
    Ok(Probe { media_type, size })
}

fn unreadable(error: &io::Error) -> Error {
    damaged(error.to_string())
}

fn size(media_type: &str, file: File, limits: &Limits) -> Result<Option<(u32, u32)>, Error> {
    let head = |file: File| {
        let mut head = Vec::new();
        file.take(HEAD_BYTES_MAX).read_to_end(&mut head).map_err(|error| unreadable(&error))?;
        Ok(head)
    };
    match media_type {
        "image/jpeg" => {
            let head = head(file)?;
            match jpeg::planar::read_header(&head, limits) {
                Ok(jpeg) => Ok(Some(jpeg::planar::info(&head, &jpeg).oriented_size())),
                Err(Error::UnsupportedFormat { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        }
        "image/png" => Ok(Some(png::read_info(&head(file)?, limits)?.oriented_size())),
        "image/webp" => webp(BufReader::new(file)).map(Some),
        "image/gif" => gif::canvas_size(file).map(Some),
        "image/avif" => Ok(heif::shown_size(&head(file)?, Coding::Av1)),
        "image/heic" => Ok(heif::shown_size(&head(file)?, Coding::Hevc)),
        "image/jxl" => Ok(JxlHeader::read(&head(file)?).ok().map(|header| header.info.oriented_size())),
        "image/tiff" => Ok(TiffHeader::read(&head(file)?).ok().map(|header| header.info.oriented_size())),
        "image/bmp" => bmp::read_info(&head(file)?, limits).map(|(info, _)| Some(info.oriented_size())),
        "image/x-icon" => ico::read_info(&head(file)?, limits).map(|(info, _)| Some(info.oriented_size())),
        "image/svg+xml" => {
            let bytes = file.metadata().map_err(|error| unreadable(&error))?.len();
            svg::check_length(bytes)?;
            svg::read_info(&head(file)?).map(|(info, _)| Some(info.oriented_size()))
        }
        _ => Ok(None),
    }
}

/// Reads the first chunk of a WebP, and its EXIF chunk, which is usually the last.
fn webp(mut file: BufReader<File>) -> Result<(u32, u32), Error> {
    let mut head = Vec::with_capacity(64);
    (&mut file).take(WEBP_HEAD_BYTES).read_to_end(&mut head).map_err(|error| unreadable(&error))?;
    let ImageInfo { width, height, .. } = container::read_info(&head)?;
    let mut at = 12_u64;
    loop {
        let mut header = [0; 8];
        let is_read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut header));
        let [n0, n1, n2, n3, l0, l1, l2, l3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if is_read.is_err() {
            return Ok((width, height));
        }
        if [n0, n1, n2, n3] == *b"EXIF" && length <= EXIF_BYTES_MAX {
            let mut exif = Vec::new();
            file.take(length.into()).read_to_end(&mut exif).map_err(|error| unreadable(&error))?;
            let orientation = container::exif_orientation(&exif).unwrap_or(Orientation::NoTransforms);
            return Ok(oriented_size((width, height), orientation));
        }
        at += 8 + u64::from(length) + u64::from(length % 2);
    }
}

/// Length of the RIFF header and the part of the first chunk that contains the size.
const WEBP_HEAD_BYTES: u64 = 30;
