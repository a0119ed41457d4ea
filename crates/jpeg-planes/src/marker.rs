//! Marker codes (ITU-T T.81, table B.1) and the search for markers.

pub(crate) const SOF0: u8 = 0xC0;
pub(crate) const SOF1: u8 = 0xC1;
pub(crate) const SOF2: u8 = 0xC2;
pub(crate) const DHT: u8 = 0xC4;
pub(crate) const SOF9: u8 = 0xC9;
pub(crate) const SOF10: u8 = 0xCA;
pub(crate) const DAC: u8 = 0xCC;
pub(crate) const RST0: u8 = 0xD0;
pub(crate) const RST7: u8 = 0xD7;
pub(crate) const SOI: u8 = 0xD8;
pub(crate) const EOI: u8 = 0xD9;
pub(crate) const SOS: u8 = 0xDA;
pub(crate) const DQT: u8 = 0xDB;
pub(crate) const DRI: u8 = 0xDD;
pub(crate) const APP0: u8 = 0xE0;
pub(crate) const APP1: u8 = 0xE1;
pub(crate) const APP2: u8 = 0xE2;
pub(crate) const APP14: u8 = 0xEE;
/// The frame header of JPEG-LS (ITU-T T.87, annex C).
pub(crate) const SOF55: u8 = 0xF7;

/// Position of the first marker at or after `from`: 0xFF followed by a byte that is neither stuffing nor fill.
pub(crate) fn find_marker(data: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        position += find_ff(data.get(position..)?)?;
        match data.get(position + 1)? {
            0 => position += 2,
            0xFF => position += 1,
            _ => return Some(position),
        }
    }
}

/// Position of the first marker at or after `from` that is not a restart marker. Such a marker ends a scan.
pub(crate) fn find_scan_end(data: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        position = find_marker(data, position)?;
        match *data.get(position + 1)? {
            RST0..=RST7 => position += 2,
            _ => return Some(position),
        }
    }
}

/// Position of the first 0xFF. Compares chunks of 32 bytes, which compilers vectorize.
fn find_ff(data: &[u8]) -> Option<usize> {
    let (chunks, _) = data.as_chunks::<32>();
    let has_ff = |chunk: &[u8; 32]| chunk.iter().fold(false, |found, &byte| found | (byte == 0xFF));
    let skipped = 32 * chunks.iter().take_while(|chunk| !has_ff(chunk)).count();
    data[skipped..].iter().position(|&byte| byte == 0xFF).map(|at| skipped + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_ends_at_the_first_marker_other_than_a_restart() {
        let mut data = vec![7; 100];
        data.extend([0xFF, 0, 0xFF, 0xD0, 1, 0xFF, 0xFF, 0xC4]);
        assert_eq!(find_marker(&data, 0), Some(102));
        assert_eq!(find_scan_end(&data, 0), Some(106));
        assert_eq!(find_scan_end(&data, 107), None);
    }
}
