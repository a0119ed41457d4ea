//! Color quantization: converts pixels to indices into a palette.

use std::collections::{BTreeMap, HashMap};

use crate::deadline::Deadline;
use crate::error::Error;

/// An image with a palette of RGBA colors.
pub(crate) struct IndexedImage {
    pub(crate) palette: Vec<[u8; 4]>,
    pub(crate) indices: Vec<u8>,
}

/// Number of pixels between two checks of the deadline.
const CHECKED_PIXELS: usize = 1 << 16;

/// Reduces RGBA pixels to at most `colors` colors, 2 to 256. The result is exact if the pixels have no more colors.
///
/// # Errors
/// The deadline passed.
pub(crate) fn indexed(pixels: &[[u8; 4]], colors: usize, deadline: Deadline) -> Result<IndexedImage, Error> {
    match exact(pixels, colors, deadline)? {
        Some(image) => Ok(image),
        None => nearest(pixels, colors, deadline),
    }
}

/// Upper bound, in bytes, on the memory of [`indexed`] for this number of pixels.
pub(crate) fn bytes(pixels: u64, has_alpha: bool) -> u64 {
    // The number of bins of similar colors, and the memory for each.
    let bins = if has_alpha { 1 << 24 } else { 1 << 18 };
    pixels + BIN_BYTES * pixels.min(bins)
}

/// Bytes for a bin of similar colors: its sums, and two copies of its mean while a box of colors is split.
const BIN_BYTES: u64 = 120;

fn exact(pixels: &[[u8; 4]], colors: usize, deadline: Deadline) -> Result<Option<IndexedImage>, Error> {
    let mut palette = Vec::new();
    let mut index_by_color: HashMap<[u8; 4], u8> = HashMap::new();
    let mut indices = Vec::with_capacity(pixels.len());
    for pixels in pixels.chunks(CHECKED_PIXELS) {
        deadline.check()?;
        for pixel in pixels {
            let index = match (index_by_color.get(pixel), u8::try_from(palette.len())) {
                (Some(index), _) => *index,
                (None, Ok(index)) if palette.len() < colors => {
                    palette.push(*pixel);
                    index_by_color.insert(*pixel, index);
                    index
                }
                (None, _) => return Ok(None),
            };
            indices.push(index);
        }
    }
    Ok(Some(IndexedImage { palette, indices }))
}

/// Median cut: repeatedly splits the color box with the largest variance at its mean (P. Heckbert, "Color image
/// quantization for frame buffer display", 1982, with the variance criterion of X. Wu, 1991).
fn nearest(pixels: &[[u8; 4]], colors: usize, deadline: Deadline) -> Result<IndexedImage, Error> {
    let mut bins: BTreeMap<[u8; 4], ([u64; 4], u64)> = BTreeMap::new();
    for pixels in pixels.chunks(CHECKED_PIXELS) {
        deadline.check()?;
        for pixel in pixels {
            let (sums, count) = bins.entry(bin(*pixel)).or_default();
            sums.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += u64::from(*sample));
            *count += 1;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "sums of 8-bit samples")]
    let weighted = |(sums, count): &([u64; 4], u64)| WeightedColor {
        color: sums.map(|sum| sum as f64 / *count as f64),
        count: *count as f64,
    };
    let mut boxes = vec![ColorBox::new(bins.values().map(weighted).collect())];
    while boxes.len() < colors {
        deadline.check()?;
        let most = boxes.iter().enumerate().max_by(|(_, a), (_, b)| a.spread.total_cmp(&b.spread));
        let Some((n, _)) = most.filter(|(_, most)| most.spread > 0.0) else { break };
        let (low, high) = boxes.swap_remove(n).split();
        boxes.extend([low, high]);
    }
    let palette: Vec<[u8; 4]> = boxes.iter().map(ColorBox::color).collect();
    let distance =
        |a: &[u8; 4], b: &[u8; 4]| -> u32 { a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum() };
    let nearest_index = |color: &[u8; 4]| {
        let nearest = palette.iter().enumerate().min_by_key(|(_, other)| distance(color, other));
        nearest.and_then(|(n, _)| u8::try_from(n).ok()).unwrap_or(0)
    };
    let mut known: HashMap<[u8; 4], u8> = HashMap::new();
    let mut indices = Vec::with_capacity(pixels.len());
    for pixels in pixels.chunks(CHECKED_PIXELS) {
        deadline.check()?;
        indices.extend(pixels.iter().map(|pixel| *known.entry(bin(*pixel)).or_insert_with(|| nearest_index(pixel))));
    }
    Ok(IndexedImage { palette, indices })
}

/// Groups similar colors, because a photograph has too many distinct ones to process each.
fn bin(color: [u8; 4]) -> [u8; 4] {
    color.map(|sample| sample & 0xFC)
}

/// A color and the number of its pixels.
struct WeightedColor {
    color: [f64; 4],
    count: f64,
}

/// A set of colors that share a palette entry.
struct ColorBox {
    colors: Vec<WeightedColor>,
    mean: [f64; 4],
    /// The channel with the largest spread.
    axis: usize,
    spread: f64,
}

impl ColorBox {
    fn new(colors: Vec<WeightedColor>) -> Self {
        let count: f64 = colors.iter().map(|one| one.count).sum();
        let mean = [0, 1, 2, 3].map(|n| colors.iter().map(|one| one.color[n] * one.count).sum::<f64>() / count);
        let spread = |n: usize| -> f64 { colors.iter().map(|one| (one.color[n] - mean[n]).powi(2) * one.count).sum() };
        let (axis, spread) = [0, 1, 2, 3]
            .map(|n| (n, spread(n)))
            .into_iter()
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .unwrap_or_default();
        Self { colors, mean, axis, spread }
    }

    /// Splits the box at the mean of its widest channel. Neither half is empty, because the channel has values on both
    /// sides of its mean.
    fn split(self) -> (Self, Self) {
        let Self { colors, mean, axis, .. } = self;
        let (low, high) = colors.into_iter().partition(|one| one.color[axis] <= mean[axis]);
        (Self::new(low), Self::new(high))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the mean of 8-bit samples")]
    fn color(&self) -> [u8; 4] {
        self.mean.map(|sample| sample.round() as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNLIMITED: Deadline = Deadline::NEVER;

    #[test]
    fn few_colors_are_kept_exactly() {
        let pixels: Vec<_> = (0..1000_u16).map(|n| [(n % 200) as u8, 7, 9, 255]).collect();
        let IndexedImage { palette, indices } = indexed(&pixels, 256, UNLIMITED).unwrap();
        assert_eq!(palette.len(), 200);
        assert!(indices.iter().zip(&pixels).all(|(index, pixel)| palette[usize::from(*index)] == *pixel));
    }

    #[test]
    fn many_colors_are_replaced_by_similar_ones() {
        let pixels: Vec<_> = (0..=u16::MAX).map(|n| [n.to_be_bytes()[0], n.to_be_bytes()[1], 128, 255]).collect();
        for colors in [256, 64] {
            let IndexedImage { palette, indices } = indexed(&pixels, colors, UNLIMITED).unwrap();
            assert!(palette.len() <= colors);
            let off = |index: &u8, pixel: &[u8; 4]| -> u64 {
                palette[usize::from(*index)].iter().zip(pixel).map(|(a, b)| u64::from(a.abs_diff(*b))).sum()
            };
            let sum: u64 = indices.iter().zip(&pixels).map(|(index, pixel)| off(index, pixel)).sum();
            assert!(sum / (pixels.len() as u64) < 30, "{sum}");
        }
    }
}
