//! Inserts profiles, XMP and gain maps into an encoded JPEG.

use crate::codec::embedded::{Embedded, STRUCTURE_BYTES};
use crate::codec::jpeg::multi_picture::{INDEX_BYTES, index_segment};

/// Marks an ICC profile in a segment APP2 (ICC.1:2022, annex B.4).
const PROFILE: &[u8] = b"ICC_PROFILE\0";

/// Marks EXIF in a segment APP1 (CIPA DC-008, section 4.5.4).
const EXIF: &[u8] = b"Exif\0\0";

/// Marks an XMP packet in a segment APP1 (ISO 16684-3, section 1.1.3).
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Inserts the data after the first segment if that is the JFIF header, else after the first marker.
pub(crate) fn embed(file: &[u8], data: Embedded<'_>) -> Vec<u8> {
    let (head, rest) = split(file);
    let mut made = Vec::with_capacity(file.len() + data.len() + STRUCTURE_BYTES);
    made.extend(head);
    push_segments(&mut made, data);
    made.extend(rest);
    made
}

/// Inserts the data, and appends a second image with an index of both (CIPA DC-007).
pub(crate) fn embed_with_second(file: &[u8], data: Embedded<'_>, second: &[u8]) -> Vec<u8> {
    let (head, rest) = split(file);
    let capacity = file.len() + data.len() + STRUCTURE_BYTES + INDEX_BYTES + second.len();
    let mut made = Vec::with_capacity(capacity);
    made.extend(head);
    push_segments(&mut made, data);
    let first = made.len() + INDEX_BYTES + rest.len();
    made.extend(index_segment(made.len(), first, second.len()));
    made.extend(rest);
    made.extend(second);
    made
}

fn split(file: &[u8]) -> (&[u8], &[u8]) {
    let at = match file {
        [0xFF, 0xD8, 0xFF, 0xE0, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 2,
    };
    file.split_at_checked(at).unwrap_or((file, &[]))
}

fn push_segments(made: &mut Vec<u8>, data: Embedded<'_>) {
    if let Some(exif) = data.exif {
        push_segment(made, 0xE1, &[EXIF, exif]);
    }
    if let Some(xmp) = data.xmp {
        push_segment(made, 0xE1, &[XMP, xmp]);
    }
    if let Some(profile) = data.profile {
        // Part 1 of 1.
        push_segment(made, 0xE2, &[PROFILE, &[1, 1], profile]);
    }
    if let Some(iso) = data.iso_gain_map {
        push_segment(made, 0xE2, &[iso]);
    }
}

/// Appends a segment, unless it is too long for one (ITU-T T.81, section B.1.1.4).
fn push_segment(made: &mut Vec<u8>, marker: u8, parts: &[&[u8]]) {
    let length = 2 + parts.iter().map(|part| part.len()).sum::<usize>();
    if let Ok(length) = u16::try_from(length) {
        made.extend([0xFF, marker]);
        made.extend(length.to_be_bytes());
        parts.iter().for_each(|part| made.extend(*part));
    }
}
