//! Strips and tiles that are compressed by JPEG (technical note 2 of TIFF 6.0).

use std::io::{Read, Seek};

use tiff::decoder::Decoder;
use tiff::tags::Tag;

use crate::codec::jpeg::segments::segments;

/// Sides of a strip or tile are rounded up to this in some files: the largest minimum coded unit of JPEG.
const UNIT: u32 = 16;

/// Checks the sizes in all strips or tiles, because the memory of the decoder depends on them.
///
/// # Errors
/// A strip or tile is larger than the directory states.
pub(super) fn check_sizes<R: Read + Seek>(
    file: &[u8],
    decoder: &mut Decoder<R>,
    (width, height): (u32, u32),
) -> Result<(), String> {
    let mut values = |tags: [Tag; 2]| tags.into_iter().find_map(|tag| decoder.get_tag_u64_vec(tag).ok());
    let offsets = values([Tag::TileOffsets, Tag::StripOffsets]).ok_or("it has no strips and no tiles")?;
    for offset in offsets {
        let chunk = usize::try_from(offset).ok().and_then(|offset| file.get(offset..)).unwrap_or_default();
        let fits = |(height_of, width_of): (u16, u16)| {
            u32::from(height_of) <= height.next_multiple_of(UNIT) && u32::from(width_of) <= width.next_multiple_of(UNIT)
        };
        if !size(chunk).is_none_or(fits) {
            return Err("a strip or tile is larger than its directory states".to_owned());
        }
    }
    Ok(())
}

/// Height and width in the frame header, the segment SOF (ITU-T T.81, section B.2.2).
fn size(jpeg: &[u8]) -> Option<(u16, u16)> {
    let is_frame = |marker: u8| matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC);
    let (_, frame, _) = segments(jpeg).find(|(marker, ..)| is_frame(*marker))?;
    let &[_, h0, h1, w0, w1, ..] = frame else { return None };
    Some((u16::from_be_bytes([h0, h1]), u16::from_be_bytes([w0, w1])))
}
