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
    let directory = Directory::first(exif)?;
    directory.field(tag).filter(|field| field.kind == ASCII).and_then(|field| directory.bytes(&field, 1))
}

/// An image file directory of a TIFF structure (TIFF 6.0, section 2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Directory<'a> {
    /// The structure to which offsets refer.
    tiff: &'a [u8],
    is_little: bool,
    offset: usize,
}

/// An entry of a directory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) kind: u16,
    count: usize,
    /// Position of the four bytes that contain the value or its offset.
    at: usize,
}

impl<'a> Directory<'a> {
    /// IFD 0.
    pub(super) fn first(tiff: &'a [u8]) -> Option<Self> {
        let is_little = match tiff.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Self { tiff, is_little, offset: 0 }.at(4)
    }

    /// The directory at `offset` of a structure that has no header.
    pub(super) fn big_endian(tiff: &'a [u8], offset: usize) -> Self {
        Self { tiff, is_little: false, offset }
    }

    /// The directory to which the four bytes at `position` refer.
    fn at(self, position: usize) -> Option<Self> {
        Some(Self { offset: self.long(position)?, ..self })
    }

    /// The directory to which a field refers.
    pub(super) fn sub_directory(self, tag: u16) -> Option<Self> {
        self.at(self.field(tag)?.at)
    }

    pub(super) fn field(self, tag: u16) -> Option<Field> {
        let entries = usize::from(self.short(self.offset)?);
        let mut entries = (0..entries).map_while(|n| self.offset.checked_add(2 + 12 * n));
        let at = entries.find(|at| self.short(*at) == Some(tag))?;
        Some(Field { kind: self.short(at + 2)?, count: self.long(at + 4)?, at: at + 8 })
    }

    /// The value of a field whose elements have `element_bytes` bytes.
    pub(super) fn bytes(self, field: &Field, element_bytes: usize) -> Option<&'a [u8]> {
        let length = field.count.checked_mul(element_bytes)?;
        let start = if length <= 4 { field.at } else { self.long(field.at)? };
        self.tiff.get(start..start.checked_add(length)?)
    }

    fn short(self, at: usize) -> Option<u16> {
        let bytes = *self.tiff.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn long(self, at: usize) -> Option<usize> {
        let bytes = *self.tiff.get(at..)?.first_chunk()?;
        usize::try_from(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }).ok()
    }
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
