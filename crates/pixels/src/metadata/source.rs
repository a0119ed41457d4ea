//! Where the file formats store metadata. Nothing is copied but compressed and scattered data.

use std::borrow::Cow;

use super::{AppleHeadroom, METADATA_BYTES_MAX};
use crate::codec::heif::container::{self as heif, Coding};
use crate::codec::jpeg::segments::segments;
use crate::codec::png::chunks as png;
use crate::codec::png::profile::inflate_at_most;
use crate::codec::webp::container as webp;
use crate::codecs::Codec;

/// The metadata of a file, each without the structures of the file around it.
#[derive(Debug, Default)]
pub(super) struct Metadata<'a> {
    /// An XMP packet.
    pub(super) xmp: Option<Cow<'a, str>>,
    /// Photoshop image resources.
    pub(super) iptc: Option<&'a [u8]>,
    /// A TIFF structure.
    pub(super) exif: Option<Cow<'a, [u8]>>,
}

impl<'a> Metadata<'a> {
    /// Finds the metadata. GIF is not searched.
    pub(super) fn find(original: &'a [u8], codec: Codec) -> Self {
        match codec {
            Codec::Jpeg => Self::in_jpeg(original),
            Codec::Png => Self::in_png(original),
            Codec::WebP => Self::in_webp(original),
            Codec::Avif => Self::in_heif(original, Coding::Av1),
            Codec::Heic => Self::in_heif(original, Coding::Hevc),
            _ => Self::default(),
        }
    }

    /// Searches the segments before the first scan. Parts of an extended XMP packet, and image resources after those of the
    /// first segment, are ignored: the statements come first.
    fn in_jpeg(original: &'a [u8]) -> Self {
        let mut found = Self::default();
        for (marker, data, _) in segments(original) {
            match marker {
                0xE1 => {
                    if let Some(exif) = data.strip_prefix(b"Exif\0\0") {
                        found.exif.get_or_insert(exif.into());
                    } else if let Some(xmp) = data.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                        found.xmp = found.xmp.or(packet(xmp));
                    }
                }
                0xED => found.iptc = found.iptc.or(data.strip_prefix(b"Photoshop 3.0\0")),
                _ => {}
            }
        }
        found
    }

    /// Searches all chunks (PNG, third edition, sections 11.3.3.4 and 11.3.4.5).
    fn in_png(original: &'a [u8]) -> Self {
        let mut found = Self::default();
        for chunk in png::Chunks::from_file(original) {
            match chunk.name {
                b"eXIf" => {
                    found.exif.get_or_insert(chunk.data.into());
                }
                b"iTXt" if found.xmp.is_none() => found.xmp = png_packet(chunk.data),
                _ => {}
            }
        }
        found
    }

    fn in_webp(original: &'a [u8]) -> Self {
        let chunk = |name: &[u8; 4]| webp::Chunks::from_file(original).find(|chunk| chunk.name == name);
        let exif = chunk(b"EXIF").map(|chunk| chunk.data.strip_prefix(b"Exif\0\0").unwrap_or(chunk.data).into());
        Self { xmp: chunk(b"XMP ").and_then(|chunk| packet(chunk.data)), exif, iptc: None }
    }

    fn in_heif(original: &'a [u8], coding: Coding) -> Self {
        let [xmp, exif] =
            [*b"mime", *b"Exif"].map(|kind| heif::description(original, coding, kind, METADATA_BYTES_MAX));
        let xmp = xmp.and_then(|xmp| String::from_utf8(xmp.into_owned()).ok()).map(Cow::Owned);
        // The offset of the TIFF structure precedes it (ISO/IEC 23008-12, annex A.2.1).
        let exif = exif.and_then(|exif| {
            let offset = u32::from_be_bytes(*exif.first_chunk()?);
            exif.get(4_usize.checked_add(usize::try_from(offset).ok()?)?..).map(|exif| Cow::Owned(exif.to_vec()))
        });
        Self { xmp, exif, iptc: None }
    }
}

/// The XMP packet of a JPEG.
pub(crate) fn jpeg_packet(original: &[u8]) -> Option<Cow<'_, str>> {
    Metadata::in_jpeg(original).xmp
}

/// The headroom of the gain map in the maker note of a JPEG.
pub(crate) fn jpeg_headroom(original: &[u8]) -> Option<AppleHeadroom> {
    Metadata::in_jpeg(original).exif.and_then(|exif| AppleHeadroom::read(&exif))
}

fn packet(bytes: &[u8]) -> Option<Cow<'_, str>> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if bytes.len() > METADATA_BYTES_MAX { None } else { std::str::from_utf8(bytes).ok().map(Cow::Borrowed) }
}

/// The packet in an iTXt chunk, which may be compressed.
fn png_packet(data: &[u8]) -> Option<Cow<'_, str>> {
    let [is_compressed, 0, rest @ ..] = data.strip_prefix(b"XML:com.adobe.xmp\0")? else { return None };
    // The language and the translated keyword.
    let mut fields = rest.splitn(3, |byte| *byte == 0).skip(2);
    let text = fields.next()?;
    match is_compressed {
        0 => packet(text),
        1 => inflate_at_most(text, METADATA_BYTES_MAX).and_then(|text| String::from_utf8(text).ok()).map(Cow::Owned),
        _ => None,
    }
}
