//! Inserts profiles and XMP into an encoded PNG.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::codec::embedded::{Embedded, STRUCTURE_BYTES};

/// Code points of Display P3 in full range (third edition, section 11.3.2.6), which take precedence over the profile.
const DISPLAY_P3: [u8; 4] = [12, 13, 0, 1];

/// Length of the signature and IHDR.
const HEADER_BYTES: usize = 8 + 25;

/// Inserts the data after the header, before the palette and the pixels. A profile is that of Display P3.
pub(crate) fn embed(file: &[u8], data: Embedded<'_>) -> Vec<u8> {
    let Some((head, rest)) = file.split_at_checked(HEADER_BYTES) else { return file.to_vec() };
    let mut made = Vec::with_capacity(file.len() + data.len() + STRUCTURE_BYTES);
    made.extend(head);
    if let Some(profile) = data.profile {
        push_chunk(&mut made, *b"cICP", &DISPLAY_P3);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        // Writing to memory cannot fail. A name, zero, and the compression method.
        if let Ok(compressed) = zlib.write_all(profile).and_then(|()| zlib.finish()) {
            push_chunk(&mut made, *b"iCCP", &[b"Display P3\0\0", &compressed[..]].concat());
        }
    }
    if let Some(xmp) = data.xmp {
        // Not compressed, without a language and a translated keyword (ISO 16684-3, section 1.1.5).
        push_chunk(&mut made, *b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", xmp].concat());
    }
    made.extend(rest);
    made
}

fn push_chunk(made: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let Ok(length) = u32::try_from(data.len()) else { return };
    made.extend(length.to_be_bytes());
    let mut hasher = crc32fast::Hasher::new();
    for part in [&name[..], data] {
        hasher.update(part);
        made.extend(part);
    }
    made.extend(hasher.finalize().to_be_bytes());
}
