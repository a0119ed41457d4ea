//! JPEG files with several images (CIPA DC-007, Multi-Picture Format), of which one may be a gain map.

use std::ops::Range;

use crate::codec::jpeg::segments::segments;

/// Marks the index of the images in a segment APP2.
const INDEX: &[u8] = b"MPF\0";

/// Maximum number of images that are looked at.
const IMAGES_MAX: usize = 16;

/// The positions of the images after the first one.
pub(crate) fn other_images(file: &[u8]) -> Vec<Range<usize>> {
    let index = segments(file).find_map(|(marker, data, at)| {
        let index = data.strip_prefix(INDEX).filter(|_| marker == 0xE2)?;
        Some((index, at + INDEX.len()))
    });
    index.and_then(|(index, at)| entries(index, at)).unwrap_or_default()
}

/// Reads the index, a TIFF structure at position `at` of the file (section 5.2).
fn entries(index: &[u8], at: usize) -> Option<Vec<Range<usize>>> {
    let is_little = match index.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *index.get(at..)?.first_chunk()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *index.get(at..)?.first_chunk()?;
        usize::try_from(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }).ok()
    };
    let directory = long(4)?;
    let count = usize::from(short(directory)?);
    let mut fields = (0..count).map_while(|n| directory.checked_add(2 + 12 * n));
    let field = fields.find(|at| short(*at) == Some(ENTRIES))?;
    let (bytes, table) = (long(field + 4)?, long(field + 8)?);
    let images = (bytes / ENTRY_BYTES).min(IMAGES_MAX);
    let entry = |n: usize| {
        let entry = table.checked_add(n * ENTRY_BYTES)?;
        let (length, offset) = (long(entry + 4)?, long(entry + 8)?);
        let begin = at.checked_add(offset)?;
        Some(begin..begin.checked_add(length)?)
    };
    Some((1..images).map_while(entry).collect())
}

/// The tag of the entries of the images, and the length of an entry (section 5.2.3).
const ENTRIES: u16 = 0xB002;
const ENTRY_BYTES: usize = 16;

/// Length of the segment that [`index_segment`] makes.
pub(crate) const INDEX_BYTES: usize = 4 + INDEX.len() + 8 + 2 + 3 * 12 + 4 + 2 * ENTRY_BYTES;

/// The segment APP2 with the index of two images. `at` is the position of the segment in the file, the first image has
/// `first` bytes, and the second follows it with `second` bytes.
pub(crate) fn index_segment(at: usize, first: usize, second: usize) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let structure = at + 4 + INDEX.len();
    let table = 8 + 2 + 3 * 12 + 4;
    let mut segment = vec![0xFF, 0xE2];
    segment.extend(u16::try_from(INDEX_BYTES - 2).unwrap_or(0).to_be_bytes());
    segment.extend(INDEX);
    segment.extend(b"MM\0*\0\0\0\x08\0\x03");
    // The version, the number of images, and their entries.
    segment.extend(b"\xB0\0\0\x07\0\0\0\x040100");
    segment.extend(b"\xB0\x01\0\x04\0\0\0\x01\0\0\0\x02");
    segment.extend(b"\xB0\x02\0\x07");
    segment.extend([number(2 * ENTRY_BYTES), number(table), number(0)].as_flattened());
    // A baseline primary image, and an image of undefined type.
    segment.extend([[0, 3, 0, 0], number(first), number(0), [0; 4]].as_flattened());
    segment.extend([[0; 4], number(second), number(first - structure), [0; 4]].as_flattened());
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_gives_the_position_of_the_second_image_and_damage_is_ignored() {
        let segment = index_segment(2, 300, 40);
        assert_eq!(segment.len(), INDEX_BYTES);
        let file = [&[0xFF, 0xD8], &segment[..], &[0xFF, 0xD9]].concat();
        assert_eq!(other_images(&file).first(), Some(&(300..340)));
        for n in 2..file.len() {
            other_images(&file[..n]);
            let mut damaged = file.clone();
            damaged[n] = 0xFF;
            other_images(&damaged);
        }
    }
}
