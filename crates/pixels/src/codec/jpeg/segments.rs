//! The segments of a JPEG before its first scan (ITU-T T.81, section B.1.1).

/// The markers, data and positions of the segments. The position is that of the data.
pub(crate) fn segments(file: &[u8]) -> impl Iterator<Item = (u8, &[u8], usize)> {
    let mut at = 2;
    std::iter::from_fn(move || {
        while file.get(at..)?.starts_with(&[0xFF, 0xFF]) {
            at += 1;
        }
        let &[0xFF, marker, high, low] = file.get(at..)?.first_chunk()? else { return None };
        let length = usize::from(u16::from_be_bytes([high, low])).checked_sub(2)?;
        if matches!(marker, 0xDA | 0xD9) {
            return None;
        }
        let begin = at + 4;
        at = begin + length;
        Some((marker, file.get(begin..at)?, begin))
    })
}
