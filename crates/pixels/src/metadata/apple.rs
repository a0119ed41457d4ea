//! The headroom of a gain map in the maker note of Apple's cameras. Viewers need it where the XMP packet of the map does not
//! state it (Apple, "Applying Apple HDR effect to your photos", tags 33 and 48).

use super::exif::Directory;

/// The start of a maker note: its name and version, and the byte order. Offsets refer to its first byte.
const MAKER_NOTE: &[u8; 14] = b"Apple iOS\0\0\x01MM";

/// Tags of EXIF: the directory of the camera's settings, and the maker note (CIPA DC-008, section 4.6.3).
const EXIF_DIRECTORY: u16 = 0x8769;
const MAKER_NOTE_TAG: u16 = 0x927C;

/// Tags of the maker note.
const TAGS: [u16; 2] = [33, 48];

/// Types of values (TIFF 6.0, section 2).
const LONG: u16 = 4;
const UNDEFINED: u16 = 7;
const SIGNED_RATIONAL: u16 = 10;

/// The values of the two tags, each a fraction of two signed numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppleHeadroom([[u8; 8]; 2]);

impl AppleHeadroom {
    /// Reads a TIFF structure.
    pub(super) fn read(exif: &[u8]) -> Option<Self> {
        let camera = Directory::first(exif)?.sub_directory(EXIF_DIRECTORY)?;
        let note = camera.bytes(&camera.field(MAKER_NOTE_TAG)?, 1)?;
        if !note.starts_with(MAKER_NOTE) {
            return None;
        }
        let note = Directory::big_endian(note, MAKER_NOTE.len());
        let value = |tag| {
            let field = note.field(tag).filter(|field| field.kind == SIGNED_RATIONAL)?;
            note.bytes(&field, 8)?.first_chunk().copied()
        };
        Some(Self([value(TAGS[0])?, value(TAGS[1])?]))
    }

    /// Writes a TIFF structure with these values and nothing else.
    pub(crate) fn write(&self) -> Vec<u8> {
        let entry = |tag: u16, kind: u16, count: u32, value: u32| {
            [&tag.to_be_bytes()[..], &kind.to_be_bytes(), &count.to_be_bytes(), &value.to_be_bytes()].concat()
        };
        let directory = |entries: &[Vec<u8>]| {
            let count = u16::try_from(entries.len()).unwrap_or_default();
            [&count.to_be_bytes()[..], &entries.concat(), &[0; 4]].concat()
        };
        // After the start and the directory of the note.
        let values = MAKER_NOTE.len() as u32 + 2 + 2 * 12 + 4;
        let entries = [entry(TAGS[0], SIGNED_RATIONAL, 1, values), entry(TAGS[1], SIGNED_RATIONAL, 1, values + 8)];
        let note = [&MAKER_NOTE[..], &directory(&entries), self.0.as_flattened()].concat();
        let note_bytes = u32::try_from(note.len()).unwrap_or_default();
        // Each directory has one entry, and takes 18 bytes.
        let (first, camera) = (8, 26);
        [
            b"MM\0*\0\0\0\x08",
            &directory(&[entry(EXIF_DIRECTORY, LONG, 1, camera)])[..],
            &directory(&[entry(MAKER_NOTE_TAG, UNDEFINED, note_bytes, camera + camera - first)]),
            &note,
        ]
        .concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_is_read_as_it_was_written() {
        let headroom = AppleHeadroom([[0, 0, 0, 3, 0, 0, 0, 2], [0xFF, 0xFF, 0xFF, 0xFE, 0, 0, 0, 5]]);
        let written = headroom.write();
        assert_eq!(AppleHeadroom::read(&written), Some(headroom));
        for length in 0..written.len() {
            assert_eq!(AppleHeadroom::read(&written[..length]), None);
            let mut damaged = written.clone();
            damaged[length] = 0xFF;
            AppleHeadroom::read(&damaged);
        }
    }
}
