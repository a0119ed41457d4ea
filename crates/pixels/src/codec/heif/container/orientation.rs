//! Orientation and crop properties (ISO/IEC 23008-12, sections 6.5.9, 6.5.10 and 6.5.12).

use image::metadata::Orientation;

use super::boxes::IsoBox;
use super::layer::CropRect;
use crate::error::{Error, damaged};

/// The composition of rotations and mirrorings: clockwise quarter turns, followed by an optional horizontal flip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ItemTransform {
    quarter_turns: u8,
    is_mirrored: bool,
}

impl ItemTransform {
    /// Appends `irot`: counterclockwise quarter turns.
    pub(super) fn rotate(&mut self, counterclockwise: u8) {
        let clockwise = (4 - counterclockwise % 4) % 4;
        // A rotation after a flip equals the opposite rotation before it.
        let quarter_turns = if self.is_mirrored { 4 - clockwise } else { clockwise };
        self.quarter_turns = (self.quarter_turns + quarter_turns) % 4;
    }

    /// Appends `imir`: 0 flips vertically, 1 horizontally (2022 edition; EXIF orientations 4 and 2).
    pub(super) fn mirror(&mut self, axis: u8) {
        if axis == 0 {
            self.rotate(2);
        }
        self.is_mirrored = !self.is_mirrored;
    }

    pub(super) fn orientation(self) -> Orientation {
        match (self.quarter_turns % 4, self.is_mirrored) {
            (0, false) => Orientation::NoTransforms,
            (1, false) => Orientation::Rotate90,
            (2, false) => Orientation::Rotate180,
            (_, false) => Orientation::Rotate270,
            (0, true) => Orientation::FlipHorizontal,
            (1, true) => Orientation::Rotate90FlipH,
            (2, true) => Orientation::FlipVertical,
            (_, true) => Orientation::Rotate270FlipH,
        }
    }
}

/// `clap`: the clean aperture, as fractions (ISO/IEC 14496-12, section 12.1.4).
#[derive(Debug, Clone, Copy)]
pub(super) struct CleanAperture {
    width: Fraction,
    height: Fraction,
    /// Offset from the center of the image to the center of the aperture.
    across: Fraction,
    down: Fraction,
}

/// Numerator and denominator.
type Fraction = (i128, i128);

impl CleanAperture {
    pub(super) fn read(clap: &IsoBox<'_>) -> Result<Self, Error> {
        let mut fields = clap.fields();
        let mut fraction = |is_signed: bool| {
            let (numerator, denominator) = (fields.u32()?, fields.u32()?);
            if denominator == 0 {
                return Err(damaged("zero denominator in the clean aperture (clap)"));
            }
            let numerator = if is_signed { i128::from(numerator.cast_signed()) } else { i128::from(numerator) };
            Ok((numerator, i128::from(denominator)))
        };
        Ok(Self { width: fraction(false)?, height: fraction(false)?, across: fraction(true)?, down: fraction(true)? })
    }

    /// The visible pixels of an image of `size`. A length in fractions of pixels is rounded half up and a position is
    /// rounded down, as in libheif. Files should state whole pixels (MIAF, ISO/IEC 23000-22, section 7.3.6.7); for other
    /// ones, libavif refuses the property, and Chromium then shows the whole image. A crop may hide something, so it is
    /// applied here.
    pub(super) fn crop(&self, size: (u32, u32)) -> Result<CropRect, Error> {
        let side = |length: Fraction, offset: Fraction, whole: u32| {
            let pixels = floor((2 * length.0 + length.1, 2 * length.1)).filter(|pixels| *pixels > 0)?;
            // Half of the cropped length, plus the offset of the center.
            let cropped = i128::from(whole) * length.1 - length.0;
            let start = floor((2 * offset.0 * length.1 + cropped * offset.1, 2 * offset.1 * length.1))?;
            (start.checked_add(pixels)? <= whole).then_some((start, pixels))
        };
        let (across, down) = (side(self.width, self.across, size.0), side(self.height, self.down, size.1));
        match (across, down) {
            (Some((x, width)), Some((y, height))) => Ok(CropRect { x, y, width, height }),
            _ => Err(damaged("the clean aperture (clap) is empty or not within the image")),
        }
    }
}

/// The largest integer that is not greater. `None` if it is negative or too large. The denominator must be positive.
fn floor((numerator, denominator): Fraction) -> Option<u32> {
    u32::try_from(numerator.div_euclid(denominator)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The EXIF orientation that results from `steps`.
    fn exif_orientation(steps: &[(char, u8)]) -> u8 {
        let mut transform = ItemTransform::default();
        for (step, n) in steps {
            if *step == 'r' { transform.rotate(*n) } else { transform.mirror(*n) }
        }
        transform.orientation().to_exif()
    }

    #[test]
    fn rotations_and_mirrorings_compose_in_order() {
        // Table of ISO/IEC 23008-12 with EXIF 2.32, tag 274.
        let table: [(&[(char, u8)], u8); 12] = [
            (&[], 1),
            (&[('m', 1)], 2),
            (&[('r', 2)], 3),
            (&[('m', 0)], 4),
            (&[('r', 1), ('m', 0)], 5),
            (&[('r', 3)], 6),
            (&[('r', 3), ('m', 0)], 7),
            (&[('r', 1)], 8),
            // Flipped before the rotation.
            (&[('m', 0), ('r', 3)], 5),
            (&[('m', 0), ('r', 1)], 7),
            (&[('r', 1), ('r', 3)], 1),
            (&[('m', 1), ('m', 0)], 3),
        ];
        for (steps, exif) in table {
            assert_eq!(exif_orientation(steps), exif, "{steps:?}");
        }
    }

    #[test]
    fn orientation_equals_the_operations_on_pixels() {
        let image = image::GrayImage::from_raw(3, 2, (0..6).collect()).map(image::DynamicImage::from).unwrap();
        let kinds = [('r', 0), ('r', 1), ('r', 2), ('r', 3), ('m', 0), ('m', 1)];
        for (first, second) in kinds.iter().flat_map(|a| kinds.iter().map(move |b| (*a, *b))) {
            let (mut transform, mut expected) = (ItemTransform::default(), image.clone());
            for step in [first, second] {
                expected = match step {
                    ('r', 1) => expected.rotate270(),
                    ('r', 2) => expected.rotate180(),
                    ('r', 3) => expected.rotate90(),
                    ('m', 0) => expected.flipv(),
                    ('m', 1) => expected.fliph(),
                    _ => expected,
                };
                if step.0 == 'r' { transform.rotate(step.1) } else { transform.mirror(step.1) }
            }
            let mut made = image.clone();
            made.apply_orientation(transform.orientation());
            assert_eq!(made, expected, "{first:?} {second:?}");
        }
    }

    fn crop(width: Fraction, across: Fraction) -> Option<CropRect> {
        let aperture = CleanAperture { width, height: (10, 1), across, down: (0, 1) };
        aperture.crop((20, 10)).ok()
    }

    #[test]
    fn an_aperture_is_rounded_to_whole_pixels_within_the_image() {
        let at = |x, width| Some(CropRect { x, y: 0, width, height: 10 });
        assert_eq!(crop((20, 1), (0, 1)), at(0, 20));
        assert_eq!(crop((12, 1), (0, 1)), at(4, 12));
        assert_eq!(crop((24, 2), (-8, 2)), at(0, 12));
        assert_eq!(crop((7, 1), (1, 2)), at(7, 7), "a center between two pixels");
        assert_eq!(crop((7, 1), (0, 1)), at(6, 7), "a position of 6.5");
        assert_eq!(crop((7, 2), (0, 1)), at(8, 4), "3.5 pixels at 8.25");
        assert_eq!(crop((25, 2), (15, 4)), at(7, 13), "the last 12.5 pixels");
        assert_eq!(crop((39, 2), (-1, 4)), at(0, 20), "the first 19.5 pixels");
        for (width, across) in
            [((1, 3), (0, 1)), ((0, 1), (0, 1)), ((12, 1), (5, 1)), ((21, 1), (1, 2)), ((12, 1), (-9, 2))]
        {
            assert_eq!(crop(width, across), None, "{width:?} {across:?}");
        }
        let last = (i128::from(u32::MAX), i128::from(u32::MAX));
        assert_eq!(crop(last, last), at(10, 1), "a position of 10.5");
    }
}
