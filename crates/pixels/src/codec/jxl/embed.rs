//! Writes an XMP packet into a JPEG XL file (ISO/IEC 18181-2, clause 9).

use crate::codec::embedded::Embedded;

/// The box of the signature, and the file type.
const HEAD: &[u8] = b"\0\0\0\x0CJXL \r\n\x87\n\0\0\0\x14ftypjxl \0\0\0\0jxl ";

/// Bytes of the length and the type of a box.
const BOX_HEADER_BYTES: usize = 8;

/// Adds the XMP packet after the image. A file that is a codestream alone becomes a container first. The codestream states
/// its color space, so the profile is not needed. Without XMP, the file stays as it is.
pub(crate) fn embed(file: Vec<u8>, data: Embedded<'_>) -> Vec<u8> {
    let Some(xmp) = data.xmp else { return file };
    // A longer file would need boxes with long lengths. It is left without XMP.
    if u32::try_from(file.len() + HEAD.len() + xmp.len() + 2 * BOX_HEADER_BYTES).is_err() {
        return file;
    }
    let mut made = if file.starts_with(&[0xFF, 0x0A]) {
        let mut made = Vec::with_capacity(HEAD.len() + file.len() + xmp.len() + 2 * BOX_HEADER_BYTES);
        made.extend_from_slice(HEAD);
        push_box(&mut made, b"jxlc", &file);
        made
    } else {
        file
    };
    push_box(&mut made, b"xml ", xmp);
    made
}

fn push_box(file: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let length = u32::try_from(BOX_HEADER_BYTES + data.len()).unwrap_or(u32::MAX);
    file.extend_from_slice(&length.to_be_bytes());
    file.extend_from_slice(kind);
    file.extend_from_slice(data);
}
