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
    if let Some(image) = exact(pixels, colors, deadline)? {
        return Ok(image);
    }
    let palette = Histogram::of(pixels, deadline)?.palette(colors, 0.0, deadline)?;
    let mut matcher = PaletteMatcher::new(palette);
    let (indices, _) = matcher.indices(pixels, deadline)?;
    Ok(IndexedImage { palette: matcher.palette, indices })
}

/// Upper bound, in bytes, on the memory of [`indexed`] for this number of pixels, and of a [`PaletteMatcher`] that was used
/// for as many.
pub(crate) fn bytes(pixels: u64, has_alpha: bool) -> u64 {
    // The number of bins of similar colors, and the memory for each.
    let bins = if has_alpha { 1 << 24 } else { 1 << 18 };
    pixels + BIN_BYTES * pixels.min(bins)
}

/// Bytes for a bin of similar colors: its sums, two copies of its mean while a box of colors is split, and its palette
/// indices in two matchers.
const BIN_BYTES: u64 = 140;

/// The pixels as indices of their colors, if there are at most `colors`.
///
/// # Errors
/// The deadline passed.
pub(crate) fn exact(pixels: &[[u8; 4]], colors: usize, deadline: Deadline) -> Result<Option<IndexedImage>, Error> {
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

/// The colors of an image and the number of their pixels, in bins of similar colors, because a photograph has too many
/// distinct ones to process each.
pub(crate) struct Histogram {
    /// The sums of the samples, and the number of pixels.
    bins: BTreeMap<[u8; 4], ([u64; 4], u64)>,
    pixels: usize,
}

impl Histogram {
    /// # Errors
    /// The deadline passed.
    pub(crate) fn of(pixels: &[[u8; 4]], deadline: Deadline) -> Result<Self, Error> {
        let mut bins: BTreeMap<[u8; 4], ([u64; 4], u64)> = BTreeMap::new();
        for pixels in pixels.chunks(CHECKED_PIXELS) {
            deadline.check()?;
            for pixel in pixels {
                let (sums, count) = bins.entry(bin(*pixel)).or_default();
                sums.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += u64::from(*sample));
                *count += 1;
            }
        }
        Ok(Self { bins, pixels: pixels.len() })
    }

    /// A palette by median cut: repeatedly splits the color box with the largest variance at its mean (P. Heckbert, "Color
    /// image quantization for frame buffer display", 1982, with the variance criterion of X. Wu, 1991). Stops at `colors`
    /// colors, or when the mean squared error of a pixel, summed over its channels, is at most `error_max`.
    ///
    /// # Errors
    /// The deadline passed.
    pub(crate) fn palette(&self, colors: usize, error_max: f64, deadline: Deadline) -> Result<Vec<[u8; 4]>, Error> {
        #[expect(clippy::cast_precision_loss, reason = "sums of 8-bit samples")]
        let weighted = |(sums, count): &([u64; 4], u64)| WeightedColor {
            color: sums.map(|sum| sum as f64 / *count as f64),
            count: *count as f64,
        };
        #[expect(clippy::cast_precision_loss, reason = "a number of pixels")]
        let error_max = error_max * self.pixels as f64;
        let mut boxes = vec![ColorBox::new(self.bins.values().map(weighted).collect())];
        while boxes.len() < colors {
            deadline.check()?;
            if boxes.iter().map(|one| one.error).sum::<f64>() <= error_max {
                break;
            }
            let most = boxes.iter().enumerate().max_by(|(_, a), (_, b)| a.spread.total_cmp(&b.spread));
            let Some((n, _)) = most.filter(|(_, most)| most.spread > 0.0) else { break };
            let (low, high) = boxes.swap_remove(n).split();
            boxes.extend([low, high]);
        }
        Ok(boxes.iter().map(ColorBox::color).collect())
    }
}

/// Finds the nearest colors of a palette, and remembers them for each bin of similar colors.
pub(crate) struct PaletteMatcher {
    pub(crate) palette: Vec<[u8; 4]>,
    known: HashMap<[u8; 4], u8>,
}

impl PaletteMatcher {
    pub(crate) fn new(palette: Vec<[u8; 4]>) -> Self {
        Self { palette, known: HashMap::new() }
    }

    /// The indices of the nearest colors, and the mean squared error of a pixel, summed over its channels.
    ///
    /// # Errors
    /// The deadline passed.
    pub(crate) fn indices(&mut self, pixels: &[[u8; 4]], deadline: Deadline) -> Result<(Vec<u8>, f64), Error> {
        let palette = &self.palette;
        let nearest = |color: &[u8; 4]| {
            let nearest = palette.iter().enumerate().min_by_key(|(_, other)| distance(color, other));
            nearest.and_then(|(n, _)| u8::try_from(n).ok()).unwrap_or(0)
        };
        let mut indices = Vec::with_capacity(pixels.len());
        let mut error = 0;
        for pixels in pixels.chunks(CHECKED_PIXELS) {
            deadline.check()?;
            for pixel in pixels {
                let index = *self.known.entry(bin(*pixel)).or_insert_with(|| nearest(pixel));
                error += palette.get(usize::from(index)).map_or(0, |color| u64::from(distance(pixel, color)));
                indices.push(index);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a mean of squares of 8-bit samples")]
        let mean = error as f64 / pixels.len().max(1) as f64;
        Ok((indices, mean))
    }
}

/// Sum of the squared differences of the channels.
fn distance(a: &[u8; 4], b: &[u8; 4]) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum()
}

/// Groups similar colors.
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
    /// The sum of the spreads of all channels.
    error: f64,
}

impl ColorBox {
    fn new(colors: Vec<WeightedColor>) -> Self {
        let count: f64 = colors.iter().map(|one| one.count).sum();
        let mean = [0, 1, 2, 3].map(|n| colors.iter().map(|one| one.color[n] * one.count).sum::<f64>() / count);
        let spread = |n: usize| -> f64 { colors.iter().map(|one| (one.color[n] - mean[n]).powi(2) * one.count).sum() };
        let spreads = [0, 1, 2, 3].map(|n| (n, spread(n)));
        let (axis, spread) = spreads.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or_default();
        Self { colors, mean, axis, spread, error: spreads.iter().map(|(_, spread)| spread).sum() }
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

    #[test]
    fn no_more_colors_are_used_than_the_error_demands() {
        // Text: mostly white, with gray edges.
        let pixels: Vec<_> =
            (0..10_000_u32)
                .map(|n| {
                    if n % 10 > 0 {
                        [255; 4]
                    } else {
                        [n.to_le_bytes()[0], n.to_le_bytes()[0], n.to_le_bytes()[0], 255]
                    }
                })
                .collect();
        let histogram = Histogram::of(&pixels, UNLIMITED).unwrap();
        let mut last = 257;
        for error_max in [0.0, 1.0, 10.0, 100.0, 1000.0] {
            let palette = histogram.palette(256, error_max, UNLIMITED).unwrap();
            let mut matcher = PaletteMatcher::new(palette);
            let (_, error) = matcher.indices(&pixels, UNLIMITED).unwrap();
            // The palette is rounded, and the colors of a bin share an index.
            assert!(error <= error_max + 2.0, "{error_max}: {error}");
            assert!(matcher.palette.len() < last, "{error_max}: {} colors", matcher.palette.len());
            last = matcher.palette.len();
        }
        assert!(last <= 4);
    }
}
