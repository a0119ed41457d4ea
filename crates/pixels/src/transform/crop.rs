//! Position of the variant in the original: which rectangle is scaled, and to which size. Arithmetic only.

use std::num::NonZeroU32;

use image::metadata::Orientation;

use crate::geometry::{Geometry, Region};
use crate::pixels::Window;

/// The rectangle of the upright original that becomes the variant, and the size of the variant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CropWindow {
    /// Size of the upright original.
    upright: (u32, u32),
    window: Window,
    size: (NonZeroU32, NonZeroU32),
}

/// Size in pixels of the variant of an upright image of `width` x `height`.
///
/// A variant is never larger than the original in either dimension, and has at least one pixel.
/// - Fit: the more constrained side has exactly the length of the box; the other side keeps the aspect ratio, rounded
///   half up.
/// - Crop: the box. If it is larger than the original in either dimension, it is scaled down until it fits into the
///   original; one side then has exactly the length of the original, and the other one is rounded half up.
#[must_use]
pub fn output_size(width: NonZeroU32, height: NonZeroU32, geometry: Geometry) -> (NonZeroU32, NonZeroU32) {
    match geometry {
        Geometry::Fit { width: box_width, height: box_height } => {
            fitted((width, height), (box_width.unwrap_or(width), box_height.unwrap_or(height)))
        }
        Geometry::Crop { width: box_width, height: box_height, .. } => fitted((box_width, box_height), (width, height)),
    }
}

/// The largest size that fits inside the box, is not larger than `width` x `height` and has the same aspect ratio.
fn fitted(
    (width, height): (NonZeroU32, NonZeroU32),
    (box_width, box_height): (NonZeroU32, NonZeroU32),
) -> (NonZeroU32, NonZeroU32) {
    let (box_width, box_height) = (box_width.min(width), box_height.min(height));
    // Compares box_width / width with box_height / height, without division.
    let by_width = wide(box_width) * wide(height) <= wide(box_height) * wide(width);
    if by_width {
        (box_width, scaled(height, box_width, width))
    } else {
        (scaled(width, box_height, height), box_height)
    }
}

/// `length * numerator / denominator`, rounded half up, at least 1. The ratio is at most 1.
fn scaled(length: NonZeroU32, numerator: NonZeroU32, denominator: NonZeroU32) -> NonZeroU32 {
    let product = wide(length) * wide(numerator);
    let rounded = (product + wide(denominator) / 2) / wide(denominator);
    u32::try_from(rounded).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

fn wide(n: NonZeroU32) -> u64 {
    u64::from(n.get())
}

impl CropWindow {
    /// The window for `geometry` in an upright image of the given size, which must not be zero.
    pub(crate) fn new((width, height): (u32, u32), geometry: Geometry) -> Self {
        let nonzero = |n| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let size = output_size(nonzero(width), nonzero(height), geometry);
        let whole = Window { x: 0.0, y: 0.0, width: f64::from(width), height: f64::from(height) };
        let window = match geometry {
            Geometry::Fit { .. } => whole,
            Geometry::Crop { region, .. } => cropped(&whole, size, region),
        };
        Self { upright: (width, height), window, size }
    }

    /// Moves the window along the side that the crop shortens. `offset` gets the fractions of the width and of the
    /// height that the window covers, and returns the new position: 0 is left or top, 1 is right or bottom.
    pub(crate) fn with_offset(self, offset: impl FnOnce(f64, f64) -> f64) -> Self {
        let Window { width, height, .. } = self.window;
        let (whole_width, whole_height) = (f64::from(self.upright.0), f64::from(self.upright.1));
        let offset = offset(width / whole_width, height / whole_height).clamp(0.0, 1.0);
        // The other side is covered completely, so its coordinate stays zero.
        let (x, y) = (exact((whole_width - width) * offset), exact((whole_height - height) * offset));
        let window = Window { x, y, width, height };
        Self { window, ..self }
    }

    /// The whole stored image, and its size when scaled to fit into a square of `side` pixels.
    pub(crate) fn reduced(&self, orientation: Orientation, side: u32) -> (Window, (NonZeroU32, NonZeroU32)) {
        let side = NonZeroU32::new(side);
        Self::new(self.upright, Geometry::Fit { width: side, height: side }).stored(orientation)
    }

    /// Size of the upright variant in pixels.
    pub(crate) fn size(&self) -> (NonZeroU32, NonZeroU32) {
        self.size
    }

    /// The window and the size in the coordinates of the stored image, which `orientation` makes upright.
    pub(crate) fn stored(&self, orientation: Orientation) -> (Window, (NonZeroU32, NonZeroU32)) {
        let Window { x, y, width, height } = self.window;
        let (right, bottom) = (f64::from(self.upright.0) - x - width, f64::from(self.upright.1) - y - height);
        let straight = |x, y| (Window { x, y, width, height }, self.size);
        let turned = |x, y| (Window { x, y, width: height, height: width }, (self.size.1, self.size.0));
        match orientation {
            Orientation::NoTransforms => straight(x, y),
            Orientation::FlipHorizontal => straight(right, y),
            Orientation::FlipVertical => straight(x, bottom),
            Orientation::Rotate180 => straight(right, bottom),
            Orientation::Rotate90FlipH => turned(y, x),
            Orientation::Rotate90 => turned(y, right),
            Orientation::Rotate270 => turned(bottom, x),
            Orientation::Rotate270FlipH => turned(bottom, right),
        }
    }
}

/// The largest window with the aspect ratio of `size`, placed by `region`. Its edges may lie between pixels.
fn cropped(whole: &Window, size: (NonZeroU32, NonZeroU32), region: Region) -> Window {
    let (width, height) = (f64::from(size.0.get()), f64::from(size.1.get()));
    // Pixels of the original per pixel of the variant: the largest ratio that fits in both dimensions.
    let ratio = (whole.width / width).min(whole.height / height);
    let (width, height) = (exact(width * ratio).min(whole.width), exact(height * ratio).min(whole.height));
    let (right, bottom) = (whole.width - width, whole.height - height);
    let x = match region {
        Region::Left | Region::TopLeft | Region::BottomLeft => 0.0,
        Region::Right | Region::TopRight | Region::BottomRight => right,
        Region::Center | Region::Top | Region::Bottom | Region::Smart => right / 2.0,
    };
    let y = match region {
        Region::Top | Region::TopLeft | Region::TopRight => 0.0,
        Region::Bottom | Region::BottomLeft | Region::BottomRight => bottom,
        Region::Center | Region::Left | Region::Right | Region::Smart => bottom / 2.0,
    };
    Window { x, y, width, height }
}

/// Rounds down to a multiple of 2^-30 pixels. Sums of positions and lengths are then exact, so a window that touches an
/// edge does not exceed the image by a rounding error.
fn exact(length: f64) -> f64 {
    const STEPS: f64 = 1_073_741_824.0;
    (length * STEPS).floor() / STEPS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(width: u32, height: u32, geometry: Geometry) -> (u32, u32) {
        let nonzero = |n| NonZeroU32::new(n).unwrap();
        let (width, height) = output_size(nonzero(width), nonzero(height), geometry);
        (width.get(), height.get())
    }

    fn fit(width: u32, height: u32) -> Geometry {
        Geometry::Fit { width: NonZeroU32::new(width), height: NonZeroU32::new(height) }
    }

    fn crop(width: u32, height: u32) -> Geometry {
        let nonzero = |n| NonZeroU32::new(n).unwrap();
        Geometry::Crop { width: nonzero(width), height: nonzero(height), region: Region::Center }
    }

    #[test]
    fn output_sizes_are_exact_and_never_enlarged() {
        let table = [
            ((4000, 3000), fit(300, 200), (267, 200)),
            ((4000, 3000), fit(300, 0), (300, 225)),
            ((4000, 3000), fit(0, 300), (400, 300)),
            ((3000, 4000), fit(300, 300), (225, 300)),
            ((200, 100), fit(300, 300), (200, 100)),
            ((200, 400), fit(300, 300), (150, 300)),
            ((1, 1000), fit(300, 300), (1, 300)),
            ((1000, 1), fit(10, 10), (10, 1)),
            ((3, 2), fit(2, 2), (2, 1)),
            ((4000, 3000), crop(300, 200), (300, 200)),
            ((200, 400), crop(300, 300), (200, 200)),
            ((400, 200), crop(300, 300), (200, 200)),
            ((100, 100), crop(300, 300), (100, 100)),
            ((100, 100), crop(300, 200), (100, 67)),
            ((200, 100), crop(300, 200), (150, 100)),
            ((1000, 1), crop(300, 300), (1, 1)),
            ((100, 100), crop(4000, 10), (100, 1)),
        ];
        for ((width, height), geometry, expected) in table {
            assert_eq!(size(width, height, geometry), expected, "{width}x{height} {geometry:?}");
        }
    }

    proptest! {
        #[test]
        fn fit_touches_the_box_and_keeps_the_aspect_ratio(
            width in 1..70_000_u32, height in 1..70_000_u32, box_width in 1..5000_u32, box_height in 1..5000_u32,
        ) {
            let (w, h) = size(width, height, fit(box_width, box_height));
            prop_assert!(w >= 1 && h >= 1 && w <= box_width.min(width) && h <= box_height.min(height));
            prop_assert!(w == box_width.min(width) || h == box_height.min(height));
            let exact = f64::from(width) / f64::from(height);
            let (least, most) = ((f64::from(w) - 0.51) / (f64::from(h) + 0.51), (f64::from(w) + 0.51) / (f64::from(h) - 0.51));
            prop_assert!((least <= exact && exact <= most) || w == 1 || h == 1);
        }

        #[test]
        fn crop_keeps_the_aspect_ratio_of_the_box_and_fits_into_the_box_and_the_original(
            width in 1..70_000_u32, height in 1..70_000_u32, box_width in 1..5000_u32, box_height in 1..5000_u32,
        ) {
            let (w, h) = size(width, height, crop(box_width, box_height));
            prop_assert!(w >= 1 && h >= 1 && w <= box_width.min(width) && h <= box_height.min(height));
            prop_assert!((w, h) == (box_width, box_height) || w == width || h == height);
            let (exact_width, exact_height) = (
                f64::from(h) * f64::from(box_width) / f64::from(box_height),
                f64::from(w) * f64::from(box_height) / f64::from(box_width),
            );
            prop_assert!((f64::from(w) - exact_width).abs() <= 1.0 || (f64::from(h) - exact_height).abs() <= 1.0);
        }

        #[test]
        fn crop_window_lies_in_the_image_and_has_the_aspect_ratio_of_the_variant(
            width in 1..70_000_u32, height in 1..70_000_u32, box_width in 1..5000_u32, box_height in 1..5000_u32,
            orientation in 1..=8_u8,
        ) {
            let crop_window = CropWindow::new((width, height), crop(box_width, box_height));
            let orientation = Orientation::from_exif(orientation).unwrap();
            let (window, (w, h)) = crop_window.stored(orientation);
            let turned = orientation.to_exif() >= 5;
            let (stored_width, stored_height) = if turned { (height, width) } else { (width, height) };
            prop_assert!(window.x >= 0.0 && window.x + window.width <= f64::from(stored_width));
            prop_assert!(window.y >= 0.0 && window.y + window.height <= f64::from(stored_height));
            let (across, down) = (window.width / f64::from(w.get()), window.height / f64::from(h.get()));
            prop_assert!((across - down).abs() < 1e-6 * across.max(1.0));
        }
    }
}
