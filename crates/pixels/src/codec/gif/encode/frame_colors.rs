//! Colors of a frame of a GIF: an index for each pixel, into a palette of the frame or the one that all frames share.

use crate::codec::palette::{Histogram, IndexedImage, PaletteMatcher, exact};
use crate::deadline::Deadline;
use crate::error::Error;

/// Accuracy of colors.
pub(super) struct Quality {
    /// Maximum number of colors that are chosen, without the transparent one.
    colors: usize,
    /// Up to this number of colors are kept exactly.
    exact_colors: usize,
    /// No more colors are added when the mean squared error of a pixel, summed over its channels, is this small.
    error_max: f64,
}

/// Accuracies from the best to the smallest. The first one is exact for up to 256 colors, and else limited by the format.
/// A power of two minus one leaves room for the transparent color in the color table.
pub(super) const QUALITIES: [Quality; 7] = [
    Quality { colors: 255, exact_colors: 256, error_max: 1.0 },
    Quality { colors: 255, exact_colors: 16, error_max: 8.0 },
    Quality { colors: 63, exact_colors: 16, error_max: 30.0 },
    Quality { colors: 15, exact_colors: 15, error_max: 120.0 },
    Quality { colors: 7, exact_colors: 7, error_max: 400.0 },
    Quality { colors: 3, exact_colors: 3, error_max: 0.0 },
    Quality { colors: 2, exact_colors: 2, error_max: 0.0 },
];

/// Palette indices of a frame.
pub(super) struct IndexedFrame {
    pub(super) indices: Vec<u8>,
    /// The RGB colors of the frame. `None` if it uses those of the shared palette.
    pub(super) palette: Option<Vec<u8>>,
    /// Index of the transparent color.
    pub(super) transparent: Option<u8>,
}

/// The palette that all frames may use.
#[derive(Default)]
pub(super) struct SharedPalette {
    /// `None` if there is no palette yet.
    matcher: Option<PaletteMatcher>,
    transparent: Option<u8>,
}

impl SharedPalette {
    /// A palette of RGB colors. Without a transparent color, an unused entry of the color table becomes transparent.
    pub(super) fn new(palette: &[u8], transparent: Option<u8>) -> Self {
        let mut colors: Vec<[u8; 4]> = palette.as_chunks::<3>().0.iter().map(|&[r, g, b]| [r, g, b, 255]).collect();
        // The color table has at least two entries.
        let is_padded = colors.len() < 2 || !colors.len().is_power_of_two();
        let unused = u8::try_from(colors.len()).ok().filter(|_| is_padded);
        if transparent.is_some() {
            // The transparent color is the last one.
            colors.pop();
        }
        let matcher = (!colors.is_empty()).then(|| PaletteMatcher::new(colors));
        Self { matcher, transparent: transparent.or(unused) }
    }
}

/// The pixels of a frame.
pub(super) struct FrameColors<'a> {
    pixels: &'a [[u8; 4]],
    opaque: Vec<[u8; 4]>,
    /// The colors of the opaque pixels. `None` until they are counted.
    histogram: Option<Histogram>,
}

impl<'a> FrameColors<'a> {
    /// Each pixel must be opaque or `[0; 4]`.
    pub(super) fn new(pixels: &'a [[u8; 4]]) -> Self {
        let opaque = pixels.iter().copied().filter(|pixel| pixel[3] != 0).collect();
        Self { pixels, opaque, histogram: None }
    }

    /// Chooses the shared palette if it has no more colors than `quality` allows, and is accurate enough or not worse than a
    /// palette for this frame.
    ///
    /// # Errors
    /// The deadline passed.
    pub(super) fn index(
        &mut self,
        shared: &mut SharedPalette,
        quality: &Quality,
        deadline: Deadline,
    ) -> Result<IndexedFrame, Error> {
        let has_clear = self.opaque.len() < self.pixels.len();
        let transparent = shared.transparent;
        let mut shared_error = f64::INFINITY;
        let mut shared_indices = Vec::new();
        let is_usable = |matcher: &&mut PaletteMatcher| {
            let colors_max = quality.colors.max(quality.exact_colors);
            matcher.palette.len() <= colors_max && (!has_clear || transparent.is_some())
        };
        if let Some(matcher) = shared.matcher.as_mut().filter(is_usable) {
            (shared_indices, shared_error) = matcher.indices(&self.opaque, deadline)?;
        }
        if shared_error > quality.error_max {
            let (image, error) = self.local(quality, deadline)?;
            if error < shared_error {
                return Ok(self.with_palette(image, has_clear));
            }
        }
        let transparent = transparent.filter(|_| has_clear);
        Ok(IndexedFrame { indices: self.with_clear(shared_indices, transparent), palette: None, transparent })
    }

    /// The opaque pixels with a palette for this frame, and the mean squared error.
    fn local(&mut self, quality: &Quality, deadline: Deadline) -> Result<(IndexedImage, f64), Error> {
        // One color is transparent, if any pixel is.
        let colors_max = if self.opaque.len() < self.pixels.len() { 255 } else { 256 };
        if let Some(image) = exact(&self.opaque, quality.exact_colors.min(colors_max), deadline)? {
            return Ok((image, 0.0));
        }
        let histogram = match &mut self.histogram {
            Some(histogram) => histogram,
            none => none.insert(Histogram::of(&self.opaque, deadline)?),
        };
        let mut matcher = PaletteMatcher::new(histogram.palette(quality.colors, quality.error_max, deadline)?);
        let (indices, error) = matcher.indices(&self.opaque, deadline)?;
        Ok((IndexedImage { palette: matcher.palette, indices }, error))
    }

    fn with_palette(&self, image: IndexedImage, has_clear: bool) -> IndexedFrame {
        let IndexedImage { mut palette, indices } = image;
        let transparent = u8::try_from(palette.len()).ok().filter(|_| has_clear);
        if transparent.is_some() {
            palette.push([0; 4]);
        }
        let palette = palette.iter().flat_map(|color| [color[0], color[1], color[2]]).collect();
        IndexedFrame { indices: self.with_clear(indices, transparent), palette: Some(palette), transparent }
    }

    /// Adds the transparent pixels to the indices of the opaque ones.
    fn with_clear(&self, opaque: Vec<u8>, transparent: Option<u8>) -> Vec<u8> {
        let Some(transparent) = transparent else { return opaque };
        let mut opaque = opaque.into_iter();
        let index = |pixel: &[u8; 4]| if pixel[3] == 0 { transparent } else { opaque.next().unwrap_or(transparent) };
        self.pixels.iter().map(index).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Deadline = Deadline::NEVER;

    fn index(pixels: &[[u8; 4]], shared: &mut SharedPalette, quality: usize) -> IndexedFrame {
        FrameColors::new(pixels).index(shared, &QUALITIES[quality], NEVER).unwrap()
    }

    fn grays(count: u8) -> Vec<[u8; 4]> {
        (0..count).map(|gray| [gray, gray, gray, 255]).collect()
    }

    #[test]
    fn the_shared_palette_is_used_if_it_has_the_colors() {
        let mut shared = SharedPalette::default();
        let first = index(&grays(5), &mut shared, 0);
        let palette = first.palette.unwrap();
        assert_eq!((palette.len(), first.transparent), (15, None));
        let mut shared = SharedPalette::new(&palette, first.transparent);
        let later = index(&[[3, 3, 3, 255], [0; 4], [4, 4, 4, 255]], &mut shared, 0);
        assert_eq!((later.indices, later.palette, later.transparent), (vec![3, 5, 4], None, Some(5)));
        let other = index(&[[200, 0, 0, 255], [0; 4]], &mut shared, 0);
        assert_eq!((other.palette, other.transparent), (Some(vec![200, 0, 0, 0, 0, 0]), Some(1)));
        // A color table without an unused entry has no transparent color.
        let mut shared = SharedPalette::new(&palette[..12], None);
        assert!(index(&[[3, 3, 3, 255], [0; 4]], &mut shared, 0).palette.is_some());
        assert!(index(&[[3, 3, 3, 255]], &mut shared, 0).palette.is_none());
    }

    #[test]
    fn colors_are_exact_at_first_and_fewer_with_each_quality() {
        let pixels = [grays(255), vec![[0; 4]]].concat();
        let exact = index(&pixels, &mut SharedPalette::default(), 0);
        assert_eq!((exact.palette.unwrap().len(), exact.transparent), (3 * 256, Some(255)));
        let mut last = 257;
        for quality in 0..QUALITIES.len() {
            let colors = index(&pixels, &mut SharedPalette::default(), quality).palette.unwrap().len() / 3;
            assert!(colors < last, "{quality}: {colors}");
            last = colors;
        }
        assert_eq!(last, 3, "two colors and the transparent one");
    }

    #[test]
    fn a_frame_without_changes_is_transparent() {
        let frame = index(&[[0; 4]], &mut SharedPalette::default(), 0);
        assert_eq!((frame.indices, frame.transparent), (vec![0], Some(0)));
    }
}
