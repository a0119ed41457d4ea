//! Artist and copyright of EXIF (CIPA DC-008, tags 0x013B and 0x8298 of IFD 0).

use super::{Copyright, Text};

/// Reads a TIFF structure.
pub(super) fn read(exif: &[u8]) -> Copyright {
    let mut copyright = Copyright::default();
    // Several creators are separated by semicolons. The copyright of the photographer comes before that of the editor.
    let artist = ascii(exif, 0x013B).unwrap_or_default();
    artist.split(|byte| *byte == b';').filter_map(Text::from_bytes).for_each(|creator| copyright.add_creator(creator));
    let holders = ascii(exif, 0x8298).unwrap_or_default();
    copyright.notice = holders.split(|byte| *byte == 0).find_map(Text::from_bytes);
    copyright
}

/// The value of a tag of IFD 0 with the type ASCII.
fn ascii(exif: &[u8], tag: u16) -> Option<&[u8]> {
    let is_little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        Some(if is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *exif.get(at..)?.first_chunk()?;
        usize::try_from(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }).ok()
    };
    let directory = long(4)?;
    let entries = usize::from(short(directory)?);
    let mut entries = (0..entries).map_while(|n| directory.checked_add(2 + 12 * n));
    let at = entries.find(|at| short(*at) == Some(tag))?;
    let (kind, count) = (short(at + 2)?, long(at + 4)?);
    let value = if count <= 4 { at + 8 } else { long(at + 8)? };
    if kind == ASCII { exif.get(value..value.checked_add(count)?) } else { None }
}

/// The type ASCII (TIFF 6.0, section 2).
const ASCII: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(is_little: bool, entries: &[(u16, &[u8])]) -> Vec<u8> {
        let short = |n: u16| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
        let long = |n: u32| if is_little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut file = if is_little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        file.extend(long(8));
        file.extend(short(u16::try_from(entries.len()).unwrap()));
        let mut values = Vec::new();
        for (tag, value) in entries {
            file.extend([short(*tag), short(ASCII)].as_flattened());
            file.extend(long(u32::try_from(value.len()).unwrap()));
            if value.len() <= 4 {
                file.extend(value.iter().chain(&[0; 4]).take(4));
            } else {
                file.extend(long(u32::try_from(8 + 2 + 12 * entries.len() + values.len()).unwrap()));
                values.extend(*value);
            }
        }
        [file, values].concat()
    }

    #[test]
    fn artist_and_copyright_are_read_in_both_byte_orders() {
        for is_little in [true, false] {
            let file = exif(is_little, &[(0x013B, b"Ada; Bob\0"), (0x8298, b"\xA9 Ada\0Editor\0")]);
            let copyright = read(&file);
            assert_eq!(copyright.creators, [Text::new("Ada").unwrap(), Text::new("Bob").unwrap()]);
            assert_eq!(copyright.notice, Text::new("© Ada"));
            assert_eq!(read(&exif(is_little, &[(0x013B, b"Al\0")])).creators, [Text::new("Al").unwrap()]);
        }
    }

    #[test]
    fn damaged_and_blank_entries_are_ignored() {
        let file = exif(true, &[(0x013B, b"Ada Lovelace\0"), (0x8298, b"        \0")]);
        assert_eq!(read(&file).notice, None);
        for length in 0..file.len() {
            read(&file[..length]);
            let mut damaged = file.clone();
            damaged[length] = 0xFF;
            read(&damaged);
        }
    }
}
