//! Tells drawings, whose colors change from one pixel to the next, from photographs.

use crate::pixels::{Pixels, Sample};

/// Chroma levels, of 255, between the pixels of a square at a sharp edge. Halved chroma visibly blurs it.
const SHARP_LEVELS: i32 = 20;

/// A drawing has this many sharp edges at least, as a fraction of the squares that are not of one color. Photographs that
/// were scaled to 300 to 800 pixels have 0 to 3.6 %, and screenshots, charts and logos 4 to 56 %.
const SHARP_PER_CHANGE: (u32, u32) = (1, 20);

/// A drawing has this many squares of one color at least, as a fraction of all squares. A small picture of leaves has as
/// many sharp edges as a drawing, but fewer such squares.
const FLAT_PER_ALL: (u32, u32) = (1, 4);

/// True if the image is a drawing with sharp edges between colors, which 4:2:0 would blur.
pub(super) fn has_sharp_colors<S: Sample>(pixels: &Pixels<S>) -> bool {
    if pixels.channels < 3 {
        return false;
    }
    let channels = usize::from(pixels.channels);
    let row = pixels.width as usize * channels;
    let (mut squares, mut flat, mut sharp) = (0_u32, 0_u32, 0_u32);
    for rows in pixels.data.chunks_exact(2 * row) {
        let (above, below) = rows.split_at(row);
        for (above, below) in above.chunks_exact(2 * channels).zip(below.chunks_exact(2 * channels)) {
            squares += 1;
            match change(above, below, channels) {
                Change::Flat => flat += 1,
                Change::Sharp => sharp += 1,
                Change::Smooth => {}
            }
        }
    }
    let reaches = |part: u32, whole: u32, (n, of): (u32, u32)| {
        part > 0 && u64::from(part) * u64::from(of) >= u64::from(whole) * u64::from(n)
    };
    reaches(sharp, squares - flat, SHARP_PER_CHANGE) && reaches(flat, squares, FLAT_PER_ALL)
}

/// How colors change within a square of 2 x 2 pixels.
enum Change {
    /// No sample differs by more than one level of 255.
    Flat,
    Smooth,
    /// Chroma differs by more than [`SHARP_LEVELS`].
    Sharp,
}

fn change<S: Sample>(above: &[S], below: &[S], channels: usize) -> Change {
    let color = |row: &[S], at: usize| [0, 1, 2].map(|n| i32::from(row[at + n].to_u8()));
    let colors = [color(above, 0), color(above, channels), color(below, 0), color(below, channels)];
    let [first, ..] = colors;
    if colors.iter().all(|color| color.iter().zip(first).all(|(sample, first)| (sample - first).abs() <= 1)) {
        return Change::Flat;
    }
    // Cb and Cr with 8 fractional bits (ITU-T T.871, section 7).
    let blue = colors.map(|[r, g, b]| -43 * r - 85 * g + 128 * b);
    let red = colors.map(|[r, g, b]| 128 * r - 107 * g - 21 * b);
    let spread = |chroma: [i32; 4]| chroma.into_iter().max().unwrap_or(0) - chroma.into_iter().min().unwrap_or(0);
    if spread(blue).max(spread(red)) > SHARP_LEVELS << 8 { Change::Sharp } else { Change::Smooth }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pixels(color: impl Fn(u32, u32) -> [u8; 3]) -> Pixels {
        let data = (0..64 * 64).flat_map(|n| color(n % 64, n / 64)).collect();
        Pixels { width: 64, height: 64, channels: 3, data }
    }

    #[test]
    fn colored_lines_are_sharp_and_gray_lines_are_not() {
        assert!(has_sharp_colors(&pixels(|x, _| if x % 16 == 1 { [200, 0, 0] } else { [255; 3] })));
        assert!(!has_sharp_colors(&pixels(|x, _| if x % 16 == 1 { [0; 3] } else { [255; 3] })));
    }

    #[test]
    fn smooth_and_noisy_colors_are_not_sharp() {
        assert!(!has_sharp_colors(&pixels(|x, y| [x as u8 * 4, y as u8 * 4, 128])));
        assert!(!has_sharp_colors(&pixels(|x, y| [(x * 97 + y * 61) as u8, (x * 31 + y * 17) as u8, (x * y) as u8])));
        assert!(!has_sharp_colors(&pixels(|_, _| [200, 0, 0])));
    }

    #[test]
    fn gray_and_tiny_images_have_no_sharp_colors() {
        for (channels, data) in [(1, vec![0, 255, 0, 255]), (3, vec![]), (3, vec![255, 0, 0])] {
            let side = if data.len() == 4 { 2 } else { 1 };
            assert!(!has_sharp_colors(&Pixels::<u8> { width: side, height: side, channels, data }));
        }
    }
}
