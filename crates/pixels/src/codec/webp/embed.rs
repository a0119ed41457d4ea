//! Inserts profiles and XMP into an encoded WebP (RFC 9649, section 2.7).

use crate::codec::embedded::{Embedded, STRUCTURE_BYTES};
use crate::codec::webp::container::Chunks;

/// Flags of the header VP8X.
const HAS_PROFILE: u8 = 0x20;
const HAS_ALPHA: u8 = 0x10;
const HAS_XMP: u8 = 0x04;

/// Writes the file in the extended format. Returns it unchanged if it has no image.
pub(crate) fn embed(file: &[u8], data: Embedded<'_>) -> Vec<u8> {
    let mut chunks = Chunks::from_file(file).peekable();
    let header = chunks.peek().and_then(|first| match first.name {
        b"VP8X" => Some(first.data.to_vec()),
        _ => first.image_size().map(|size| header(size, first.has_alpha())),
    });
    let Some(mut header) = header.filter(|header| !header.is_empty()) else { return file.to_vec() };
    chunks.next_if(|first| first.name == b"VP8X");
    header[0] |= if data.profile.is_some() { HAS_PROFILE } else { 0 };
    header[0] |= if data.xmp.is_some() { HAS_XMP } else { 0 };
    let mut made = Vec::with_capacity(file.len() + data.len() + STRUCTURE_BYTES);
    made.extend(b"RIFF\0\0\0\0WEBP");
    push_chunk(&mut made, *b"VP8X", &header);
    if let Some(profile) = data.profile {
        push_chunk(&mut made, *b"ICCP", profile);
    }
    chunks.for_each(|chunk| push_chunk(&mut made, *chunk.name, chunk.data));
    if let Some(xmp) = data.xmp {
        push_chunk(&mut made, *b"XMP ", xmp);
    }
    if let Ok(length) = u32::try_from(made.len() - 8) {
        made[4..8].copy_from_slice(&length.to_le_bytes());
    }
    made
}

/// The payload of VP8X for an image of this size.
fn header((width, height): (u32, u32), has_alpha: bool) -> Vec<u8> {
    let [w0, w1, w2, _] = (width.saturating_sub(1)).to_le_bytes();
    let [h0, h1, h2, _] = (height.saturating_sub(1)).to_le_bytes();
    vec![if has_alpha { HAS_ALPHA } else { 0 }, 0, 0, 0, w0, w1, w2, h0, h1, h2]
}

fn push_chunk(made: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let Ok(length) = u32::try_from(data.len()) else { return };
    made.extend(name);
    made.extend(length.to_le_bytes());
    made.extend(data);
    if data.len() % 2 == 1 {
        made.push(0);
    }
}
