//! Inserts profiles and XMP into an encoded JPEG.

use crate::codec::embedded::{Embedded, STRUCTURE_BYTES};

/// Marks an ICC profile in a segment APP2 (ICC.1:2022, annex B.4).
const PROFILE: &[u8] = b"ICC_PROFILE\0";

/// Marks an XMP packet in a segment APP1 (ISO 16684-3, section 1.1.3).
const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";

/// Inserts the data after the first segment if that is the JFIF header, else after the first marker.
pub(crate) fn embed(file: &[u8], data: Embedded<'_>) -> Vec<u8> {
    let at = match file {
        [0xFF, 0xD8, 0xFF, 0xE0, high, low, ..] => 4 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 2,
    };
    let Some((head, rest)) = file.split_at_checked(at) else { return file.to_vec() };
    let mut made = Vec::with_capacity(file.len() + data.len() + STRUCTURE_BYTES);
    made.extend(head);
    if let Some(xmp) = data.xmp {
        push_segment(&mut made, 0xE1, &[XMP, xmp]);
    }
    if let Some(profile) = data.profile {
        // Part 1 of 1.
        push_segment(&mut made, 0xE2, &[PROFILE, &[1, 1], profile]);
    }
    made.extend(rest);
    made
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
