//! Qualities of different formats that look the same.

use super::{Format, Quality};

/// Qualities of JPEG, and those of WebP and AVIF with the same ssimulacra2: medians of seven photographs at 512 pixels
/// (benches/README.md, "Qualities that look the same").
const EQUAL: [[u8; 3]; 12] = [
    [1, 1, 1],
    [20, 20, 27],
    [30, 31, 36],
    [40, 41, 40],
    [50, 54, 45],
    [60, 65, 48],
    [70, 74, 53],
    [80, 82, 60],
    [85, 87, 68],
    [90, 91, 77],
    [95, 95, 89],
    [100, 99, 100],
];

/// The quality of `to` that looks like `quality` of `from`. The scale of JPEG XL is that of JPEG. Quality 100, which is lossless
/// in WebP and JPEG XL, stays 100 between these two, and becomes lossy otherwise.
pub(super) fn equal_quality(quality: Quality, from: Format, to: Format) -> Quality {
    if from == to || quality.is_lossless() && is_lossless_at_100(from) && is_lossless_at_100(to) {
        return quality;
    }
    let mapped = match (column(from), column(to)) {
        (from, to) if from == to => quality.get(),
        (from, to) => interpolate(quality.get(), from, to),
    };
    let best = if is_lossless_at_100(to) { 99 } else { 100 };
    Quality::new(mapped.min(best)).unwrap_or(quality)
}

fn column(format: Format) -> usize {
    match format {
        Format::Jpeg | Format::Jxl | Format::Png | Format::Gif => 0,
        Format::WebP => 1,
        Format::Avif => 2,
    }
}

fn is_lossless_at_100(format: Format) -> bool {
    matches!(format, Format::WebP | Format::Jxl)
}

/// Interpolates linearly between the rows of [`EQUAL`].
fn interpolate(quality: u8, from: usize, to: usize) -> u8 {
    let after = EQUAL.iter().position(|row| row[from] >= quality).unwrap_or(EQUAL.len() - 1).max(1);
    let (low, high) = (EQUAL[after - 1].map(u16::from), EQUAL[after].map(u16::from));
    let (span, rise) = (high[from] - low[from], high[to] - low[to]);
    let at = u16::from(quality).clamp(low[from], high[from]) - low[from];
    u8::try_from(low[to] + (rise * at + span / 2) / span).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(quality: u8, from: Format, to: Format) -> u8 {
        equal_quality(Quality::new(quality).unwrap(), from, to).get()
    }

    #[test]
    fn qualities_of_jpeg_become_those_with_the_same_score() {
        assert_eq!((equal(80, Format::Jpeg, Format::Avif), equal(80, Format::Jpeg, Format::WebP)), (60, 82));
        assert_eq!((equal(45, Format::Jpeg, Format::Avif), equal(88, Format::Jpeg, Format::WebP)), (43, 89));
        assert_eq!(equal(77, Format::Jpeg, Format::Jxl), 77);
        assert_eq!((equal(60, Format::Avif, Format::WebP), equal(82, Format::WebP, Format::Jpeg)), (82, 80));
    }

    #[test]
    fn every_quality_has_an_equal_one_and_a_higher_one_is_not_lower() {
        let lossy = [Format::Jpeg, Format::WebP, Format::Avif, Format::Jxl];
        for (from, to) in lossy.into_iter().flat_map(|from| lossy.map(|to| (from, to))) {
            let all: Vec<_> = (1..=100).map(|quality| equal(quality, from, to)).collect();
            assert!(all.is_sorted() && all[0] >= 1 && all[99] <= 100, "{from:?} to {to:?}: {all:?}");
        }
    }

    #[test]
    fn only_a_lossless_quality_becomes_lossless() {
        assert_eq!((equal(100, Format::Jpeg, Format::WebP), equal(100, Format::Jpeg, Format::Jxl)), (99, 99));
        assert_eq!((equal(100, Format::WebP, Format::Jxl), equal(100, Format::WebP, Format::WebP)), (100, 100));
        assert_eq!((equal(100, Format::WebP, Format::Avif), equal(100, Format::Jpeg, Format::Avif)), (100, 100));
    }
}
