//! The header of a scan (ITU-T T.81, section B.2.3).

use planes::Error;

use crate::header::Header;

/// A component's entry in the scan header.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScanComponent {
    /// Index of the component in the frame.
    pub(super) index: usize,
    /// Destination of its DC table, 0 to 3.
    pub(super) dc_table: usize,
    /// Destination of its AC table, 0 to 3.
    pub(super) ac_table: usize,
}

/// The parameters of a scan.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    pub(super) components: Vec<ScanComponent>,
    /// Zigzag index of the first coefficient (Ss).
    pub(super) first: u32,
    /// Zigzag index of the last coefficient (Se).
    pub(super) last: u32,
    /// Number of low bits that the preceding scan of this band omitted, or 0 in the first scan (Ah).
    pub(super) high: u32,
    /// Number of low bits that this scan omits (Al).
    pub(super) low: u32,
}

impl Scan {
    pub(super) fn read(body: &[u8], header: &Header) -> Result<Self, Error> {
        let damaged = Error::Damaged("invalid scan header");
        let (&count, rest) = body.split_first().ok_or(damaged.clone())?;
        let selectors = rest.as_chunks::<2>().0.get(..usize::from(count)).ok_or(damaged.clone())?;
        let tail = body.get(1 + 2 * usize::from(count)..).and_then(<[u8]>::first_chunk::<3>).ok_or(damaged.clone())?;
        let mut components: Vec<ScanComponent> = Vec::with_capacity(4);
        for &[id, tables] in selectors {
            // Duplicate ids name the components in their order, as in libjpeg-turbo.
            let is_unused = |index: usize| components.iter().all(|other| other.index != index);
            let index = (header.components.iter().enumerate())
                .position(|(index, component)| component.id == id && is_unused(index))
                .ok_or(damaged.clone())?;
            let (dc_table, ac_table) = (usize::from(tables >> 4), usize::from(tables & 15));
            if dc_table > 3 || ac_table > 3 {
                return Err(damaged);
            }
            components.push(ScanComponent { index, dc_table, ac_table });
        }
        if components.is_empty() {
            return Err(damaged);
        }
        let [first, last, approximation] = tail.map(u32::from);
        Ok(Self { components, first, last, high: approximation >> 4, low: approximation & 15 })
    }
}

/// Bit mask of the coefficients `first` to `last`. Empty if `first` is greater than `last`.
pub(super) fn band_mask(first: u32, last: u32) -> u64 {
    if first > last { 0 } else { (u64::MAX >> (63 - (last - first))) << first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn band_mask_has_a_bit_per_coefficient() {
        assert_eq!(band_mask(1, 0), 0);
        assert_eq!(band_mask(1, 4), 0b11110);
        assert_eq!(band_mask(0, 63), u64::MAX);
        assert_eq!(band_mask(63, 63), 1 << 63);
    }
}
