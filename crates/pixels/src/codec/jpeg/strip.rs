//! Copies a JPEG without its metadata (ITU-T T.81, annex B).

/// Markers (ITU-T T.81, table B.1).
const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
const COMMENT: u8 = 0xFE;

/// Copies a baseline, extended or progressive Huffman-coded JPEG with 8 bits up to its end marker: without comments and
/// without application segments, except for JFIF, the ICC profile and the color transform of Adobe. Other pictures, such as
/// gain maps and previews, follow the end marker. `None` for other kinds, for an embedded preview (JFIF), and without an end
/// marker.
pub(crate) fn strip<'a>(original: &'a [u8], keep: &mut dyn FnMut(&'a [u8])) -> Option<()> {
    let (start, mut rest) = original.split_at_checked(2)?;
    if start != [0xFF, START_OF_IMAGE] {
        return None;
    }
    keep(start);
    loop {
        // Any number of fill bytes may precede a marker (section B.1.1.2).
        let fill = rest.iter().take_while(|byte| **byte == 0xFF).count().checked_sub(1)?;
        rest = &rest[fill..];
        let marker = *rest.get(1)?;
        if marker == END_OF_IMAGE {
            keep(&rest[..2]);
            return Some(());
        }
        let length = u16::from_be_bytes(*rest.get(2..)?.first_chunk()?);
        let (segment, after) = rest.split_at_checked(2 + usize::from(length))?;
        let data = segment.get(4..)?;
        let is_kept = match marker {
            // Baseline, extended and progressive.
            0xC0..=0xC2 if data.first() == Some(&8) => true,
            // Tables: Huffman, quantization and restart interval.
            0xC4 | 0xDB | 0xDD | START_OF_SCAN => true,
            0xE0 if data.starts_with(b"JFIF\0") => {
                // Width and height of a preview.
                let preview = data.get(12..14)?;
                if preview != [0, 0] {
                    return None;
                }
                true
            }
            0xE2 => data.starts_with(b"ICC_PROFILE\0"),
            0xEE => data.starts_with(b"Adobe"),
            0xE0..=0xEF | COMMENT => false,
            _ => return None,
        };
        if is_kept {
            keep(segment);
        }
        rest = after;
        if marker == START_OF_SCAN {
            let (scan, after) = rest.split_at_checked(scan_bytes(rest)?)?;
            keep(scan);
            rest = after;
        }
    }
}

/// Length of entropy-coded data with its restart markers, up to the next other marker.
fn scan_bytes(data: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += data.get(at..)?.iter().position(|byte| *byte == 0xFF)?;
        match data.get(at + 1)? {
            0 | 0xD0..=0xD7 => at += 2,
            // A fill byte.
            0xFF => at += 1,
            _ => return Some(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLES: &[u8] = b"\xFF\xDB\0\x03\x01\xFF\xC0\0\x04\x08\x01\xFF\xDA\0\x03\x01ab\xFF\0c\xFF\xD0d\xFF\xFF\xD1e";
    const ICC: &[u8] = b"\xFF\xE2\0\x10ICC_PROFILE\0\x01\x01";
    const JFIF: &[u8] = b"\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0";
    const ADOBE: &[u8] = b"\xFF\xEE\0\x07Adobe";

    fn stripped(parts: &[&[u8]]) -> Option<Vec<u8>> {
        let original = parts.concat();
        let mut bytes = Vec::new();
        strip(&original, &mut |part| bytes.extend_from_slice(part)).map(|()| bytes)
    }

    #[test]
    fn metadata_and_everything_after_the_end_are_dropped() {
        let (start, end) = (&b"\xFF\xD8"[..], &b"\xFF\xD9"[..]);
        let (exif, xmp) = (&b"\xFF\xE1\0\x08Exif\0\0"[..], &b"\xFF\xE1\0\x06http"[..]);
        let (mpf, comment) = (&b"\xFF\xE2\0\x06MPF\0"[..], &b"\xFF\xFE\0\x04hi"[..]);
        let original = [start, JFIF, exif, b"\xFF\xFF", ICC, mpf, ADOBE, TABLES, comment, xmp, end, b"second picture"];
        assert_eq!(stripped(&original).unwrap(), [start, JFIF, ICC, ADOBE, TABLES, end].concat());
        assert_eq!(stripped(&[start, TABLES]), None, "no end");
        assert_eq!(stripped(&[start, TABLES, &end[..1]]), None, "no end");
        assert_eq!(stripped(&[start, b"\xFF\xC9\0\x04\x08\x01", end]), None, "arithmetic");
        assert_eq!(stripped(&[start, b"\xFF\xC1\0\x04\x0C\x01", end]), None, "twelve bits");
        assert_eq!(stripped(&[start, b"\xFF\xE0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\x08\x08", end]), None, "preview");
        assert_eq!(stripped(&[start, b"ab", end]), None, "no marker");
        assert_eq!(stripped(&[]), None);
    }
}
