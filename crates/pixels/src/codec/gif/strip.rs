//! Copies a GIF without its metadata.

use crate::codec::gif::blocks::{BlockKind, Blocks, TRAILER};

/// Copies the header, the frames with their delays, and the loop count. Comments, XMP, profiles and bytes after the end are
/// dropped. `None` if the file is damaged.
pub(crate) fn strip<'a>(original: &'a [u8], keep: &mut dyn FnMut(&'a [u8])) -> Option<()> {
    for block in Blocks::new(original) {
        match block.kind {
            BlockKind::Header | BlockKind::Image | BlockKind::Control | BlockKind::Loop => keep(block.bytes),
            BlockKind::Other | BlockKind::Trailer => {}
            BlockKind::Damaged => return None,
        }
    }
    keep(&[TRAILER]);
    Some(())
}

/// Sets the size of the logical screen, which is too small in some files.
pub(crate) fn set_screen(file: &mut [u8], (width, height): (u32, u32)) -> Option<()> {
    let side = |side: u32| u16::try_from(side).ok().map(u16::to_le_bytes);
    file.get_mut(6..10)?.copy_from_slice([side(width)?, side(height)?].as_flattened());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_application_data_are_dropped_but_the_loop_count() {
        let (screen, frame) = (&b"GIF89a\x02\0\x01\0\0\0\0"[..], &b"\x2C\0\0\0\0\x02\0\x01\0\0\x02\x01\0\0"[..]);
        let (delay, repeat) = (&b"\x21\xF9\x04\0\x05\0\0\0"[..], &b"\x21\xFF\x0BNETSCAPE2.0\x03\x01\0\0\0"[..]);
        let (comment, xmp) = (&b"\x21\xFE\x02hi\0"[..], &b"\x21\xFF\x0BXMP DataXMP\x02ab\0"[..]);
        let original = [screen, comment, repeat, xmp, delay, frame, comment, b";after"].concat();
        let mut bytes = Vec::new();
        strip(&original, &mut |part| bytes.extend_from_slice(part)).unwrap();
        assert_eq!(bytes, [screen, repeat, delay, frame, b";"].concat());
        set_screen(&mut bytes, (3, 258)).unwrap();
        assert_eq!(bytes[6..10], [3, 0, 2, 1]);
        assert_eq!(strip(&[screen, &frame[..9]].concat(), &mut |_| {}), None);
    }
}
