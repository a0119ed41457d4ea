//! Copies a WebP without its metadata (RFC 9649, section 2.7).

use crate::codec::webp::container::Chunks;

const RIFF_HEADER_BYTES: usize = 12;
/// Position of the flags of an extended file.
const FLAGS_AT: usize = 20;
const ALPHA_FLAG: u8 = 0x10;
const EXIF_FLAG: u8 = 0x08;
const XMP_FLAG: u8 = 0x04;

/// Copies the chunks that define the pixels and their colors. EXIF data, XMP and unknown chunks are dropped. `None` if a
/// chunk is truncated, or the file has frames of an animation but `is_animated` is not set. The header has to be
/// [updated](update_header).
pub(crate) fn strip<'a>(original: &'a [u8], is_animated: bool, keep: &mut dyn FnMut(&'a [u8])) -> Option<()> {
    let (riff, mut rest) = original.split_at_checked(RIFF_HEADER_BYTES)?;
    keep(riff);
    while !rest.is_empty() {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*after.first_chunk()?)).ok()?;
        let (chunk, after) = rest.split_at_checked(length.checked_add(8 + length % 2)?)?;
        match name {
            b"ANMF" | b"ANIM" if !is_animated => return None,
            b"VP8X" | b"ICCP" | b"ANIM" | b"ANMF" | b"ALPH" | b"VP8 " | b"VP8L" => keep(chunk),
            _ => {}
        }
        rest = after;
    }
    Some(())
}

/// Sets the length of the file, and in an extended file the flags: no EXIF data, no XMP, and alpha if the image has it.
pub(crate) fn update_header(file: &mut [u8]) -> Option<()> {
    let length = u32::try_from(file.len().checked_sub(8)?).ok()?;
    file.get_mut(4..8)?.copy_from_slice(&length.to_le_bytes());
    if file.get(RIFF_HEADER_BYTES..)?.starts_with(b"VP8X") {
        // The flag of lossless data follows its size (section 3.4).
        let has_alpha = Chunks::from_file(file).any(|chunk| match chunk.name {
            b"ALPH" => true,
            b"VP8L" => chunk.data.get(4).is_some_and(|bits| bits & 0x10 != 0),
            _ => false,
        });
        let flags = file.get_mut(FLAGS_AT)?;
        *flags = *flags & !(EXIF_FLAG | XMP_FLAG) | if has_alpha { ALPHA_FLAG } else { 0 };
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let padding = vec![0; data.len() % 2];
        [name, &u32::try_from(data.len()).unwrap().to_le_bytes(), data, &padding].concat()
    }

    fn file(flags: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
        let chunks = [chunk(b"VP8X", &[flags, 0, 0, 0, 1, 0, 0, 1, 0, 0]), chunks.concat()].concat();
        let length = u32::try_from(4 + chunks.len()).unwrap().to_le_bytes();
        [b"RIFF", &length[..], b"WEBP", &chunks].concat()
    }

    fn stripped(original: &[u8], is_animated: bool) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        strip(original, is_animated, &mut |part| bytes.extend_from_slice(part))?;
        update_header(&mut bytes).map(|()| bytes)
    }

    #[test]
    fn metadata_is_dropped_and_the_flags_are_true() {
        let (profile, exif, xmp) = (chunk(b"ICCP", b"abc"), chunk(b"EXIF", b"odd"), chunk(b"XMP ", b"text"));
        let image = chunk(b"VP8L", &[0x2F, 1, 0, 0, 0x10, 0]);
        let original = file(0x2C, &[profile.clone(), image.clone(), exif, xmp, chunk(b"what", b"")]);
        assert_eq!(stripped(&original, false).unwrap(), file(0x30, &[profile, image.clone()]));
        let animation = file(0x02, &[chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &[0; 16])]);
        assert_eq!(stripped(&animation, true).unwrap(), animation);
        assert_eq!(stripped(&animation, false), None);
        let plain = [&b"RIFF\x0E\0\0\0WEBP"[..], &image].concat();
        let mut trailing = plain.clone();
        trailing.extend(chunk(b"EXIF", b""));
        let expected = [&b"RIFF\x12\0\0\0WEBP"[..], &image].concat();
        assert_eq!(stripped(&trailing, false).unwrap(), expected);
        assert_eq!(stripped(&plain[..plain.len() - 1], false), None, "truncated");
    }
}
