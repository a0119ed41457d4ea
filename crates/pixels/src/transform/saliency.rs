//! A saliency map, which estimates where viewers look first. It places the smart crop.
//!
//! The image is reduced to at most [`SIDE`] pixels per side. The weight of a pixel combines:
//!
//! - local contrast (L. Itti, C. Koch and E. Niebur, A Model of Saliency-Based Visual Attention, 1998),
//! - rarity of its color in this image, in bits (N. Bruce and J. Tsotsos, Saliency Based on Information Maximization,
//!   2005), so that a saturated color that fills much of the image gets no weight,
//! - similarity of its color to skin, if that color is rare and surrounded by detail, as in a face but not on a wall,
//! - closeness to the center (B. Tatler, The central fixation bias in scene viewing, 2007), slightly above the middle,
//!   where heads are.
//!
//! The crop with the largest sum of weights is chosen. Pixels near the middle of the crop have more weight. Among equal
//! crops, the most central one is chosen. All weights are integers, so the result is the same on every machine. There
//! is no face detection, so a bright window is sometimes mistaken for the subject.

use crate::pixels::Pixels;

/// Maximum side of the reduced image.
pub(crate) const SIDE: u32 = 128;

/// The best position of a crop along the side that it shortens: 0 is left or top, 1 is right or bottom. `across` and
/// `down` are the fractions of the width and of the height that the crop keeps; the smaller one belongs to the
/// shortened side.
pub(crate) fn best_offset(reduced: &Pixels, across: f64, down: f64) -> f64 {
    let weights = weights(reduced);
    let width = reduced.width.max(1) as usize;
    let (sums, kept): (Vec<u64>, f64) = if across < down {
        ((0..width).map(|x| weights.iter().skip(x).step_by(width).sum()).collect(), across)
    } else {
        (weights.chunks_exact(width).map(|row| row.iter().sum()).collect(), down)
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 to 128"
    )]
    let length = ((sums.len() as f64 * kept).round() as usize).clamp(1, sums.len().max(1));
    let last = sums.len().saturating_sub(length);
    if last == 0 {
        return 0.5;
    }
    let score = |begin: usize| -> u64 {
        let inside = sums[begin..begin + length].iter().enumerate();
        // A triangular window with half its height at the edges of the crop.
        inside.map(|(at, sum)| sum * (length + 2 * (at + 1).min(length - at)) as u64).sum()
    };
    let distance_to_center = |begin: usize| (2 * begin).abs_diff(last);
    let best = (0..=last)
        .max_by_key(|&begin| (score(begin), std::cmp::Reverse(distance_to_center(begin))))
        .unwrap_or(last / 2);
    #[expect(clippy::cast_precision_loss, reason = "0 to 128")]
    let begin = best as f64 / last as f64;
    begin
}

/// Weight of one bit of rarity. Contrast weighs up to 255.
const RARITY: i32 = 8;
/// Maximum weight of skin with a rarity of [`SKIN_BITS`] bits, in 255ths.
const SKIN: i32 = 8;
const SKIN_BITS: i32 = 6;
/// Activity of an area without any detail, of 255.
const ACTIVITY_MIN: i32 = 16;
/// Factor of the weight at the edges of the image, in 256ths.
const EDGE_FACTOR: i32 = 96;
/// Point with the full weight, in 256ths of the width and of the height.
const CENTER: (i32, i32) = (128, 104);

/// The weights of all pixels in row order.
fn weights(pixels: &Pixels) -> Vec<u64> {
    let channels = usize::from(pixels.channels.max(1));
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let colors: Vec<[i32; 3]> = pixels.data.chunks_exact(channels).map(on_white).collect();
    let lumas: Vec<i32> = colors.iter().copied().map(luma).collect();
    let contrasts = contrasts(&lumas, width, height);
    let rarities = rarities(&colors, &lumas);
    let columns: Vec<i32> = (0..width).map(|x| position_factor(x, width, CENTER.0)).collect();
    let mut weights = Vec::with_capacity(colors.len());
    for y in 0..height {
        let row = position_factor(y, height, CENTER.1);
        for (x, column) in columns.iter().enumerate() {
            let n = y * width + x;
            let mut weight = contrasts[n] + RARITY * rarities[n];
            let skin = skin(colors[n], lumas[n]) * rarities[n] / SKIN_BITS;
            if skin > 0 {
                weight += SKIN * skin * activity(&contrasts, width, height, x, y) / 255;
            }
            weights.push((u64::from(weight.unsigned_abs()) * u64::from((row * column).unsigned_abs())) >> 16);
        }
    }
    weights
}

/// Local contrast of each pixel, from 0 to 255: the difference to its four neighbors.
fn contrasts(lumas: &[i32], width: usize, height: usize) -> Vec<i32> {
    let mut contrasts = Vec::with_capacity(lumas.len());
    for y in 0..height {
        let row = |y: usize| &lumas[y * width..(y + 1) * width];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        for x in 0..width {
            let around = here[x.saturating_sub(1)] + here[(x + 1).min(width - 1)] + above[x] + below[x];
            contrasts.push((4 * here[x] - around).abs().min(255));
        }
    }
    contrasts
}

/// Activity from 0 to 255: the contrast of the pixel and its eight neighbors. Skin is smooth, so low contrast counts.
fn activity(contrasts: &[i32], width: usize, height: usize, x: usize, y: usize) -> i32 {
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    let columns = x.saturating_sub(1)..(x + 2).min(width);
    let sum: i32 = rows.map(|y| contrasts[y * width..][columns.clone()].iter().sum::<i32>()).sum();
    (ACTIVITY_MIN + sum).min(255)
}

/// Rarity of the color of each pixel, from 0 to 14 whole bits, with 8 steps of brightness and 8 by 8 of hue.
fn rarities(colors: &[[i32; 3]], lumas: &[i32]) -> Vec<i32> {
    let step = |([red, green, blue], luma): (&[i32; 3], &i32)| {
        let hue = ((red - green + 256) / 64, ((red + green) / 2 - blue + 256) / 64);
        (luma / 32 * 64 + hue.0 * 8 + hue.1) as usize
    };
    let steps: Vec<usize> = colors.iter().zip(lumas).map(step).collect();
    let mut counts = [0_usize; 512];
    steps.iter().for_each(|step| counts[*step] += 1);
    let bits = counts.map(|count| (steps.len() / count.max(1)).max(1).ilog2());
    steps.into_iter().map(|step| i32::try_from(bits[step]).unwrap_or(0)).collect()
}

/// Position factor: 256 at `middle`, decreasing with the distance.
fn position_factor(at: usize, length: usize, middle: i32) -> i32 {
    let at = i32::try_from(256 * at / length).unwrap_or(0);
    256 - (256 - EDGE_FACTOR) * (at - middle).abs() / 128
}

/// The color of a pixel on a white background.
fn on_white(pixel: &[u8]) -> [i32; 3] {
    let (color, alpha) = match *pixel {
        [gray] => ([gray; 3], 255),
        [gray, alpha] => ([gray; 3], alpha),
        [red, green, blue] => ([red, green, blue], 255),
        [red, green, blue, alpha, ..] => ([red, green, blue], alpha),
        [] => ([0; 3], 0),
    };
    let alpha = i32::from(alpha);
    color.map(|sample| (i32::from(sample) * alpha + 255 * (255 - alpha)) / 255)
}

/// Luma of ITU-R BT.601 with weights of 8 bits.
fn luma([red, green, blue]: [i32; 3]) -> i32 {
    (77 * red + 150 * green + 29 * blue) >> 8
}

/// Similarity to skin, from 0 to 255. Skin colors differ in brightness far more than in the ratio of red to green to
/// blue, which is about 78 : 57 : 44.
fn skin([red, green, blue]: [i32; 3], luma: i32) -> i32 {
    let sum = red + green + blue;
    if !(40..=240).contains(&luma) || sum == 0 {
        return 0;
    }
    let share = |sample: i32| 1000 * sample / sum;
    let off = (share(red) - 436).abs() + (share(green) - 318).abs() + (share(blue) - 246).abs();
    (255 - 3 * off).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A gray image with a checkered square at `(x, y)`.
    fn spotted(width: u32, height: u32, x: u32, y: u32) -> Pixels {
        let data = (0..height).flat_map(|row| (0..width).map(move |column| (column, row))).flat_map(|(column, row)| {
            let inside = (x..x + 10).contains(&column) && (y..y + 10).contains(&row);
            [if inside && (column + row) % 2 == 0 { 255 } else { 100 }; 3]
        });
        Pixels { width, height, channels: 3, data: data.collect() }
    }

    #[test]
    fn crop_covers_the_area_with_contrast() {
        for (x, expected) in [(0, 0.0), (40, 0.45), (90, 1.0)] {
            let begin = best_offset(&spotted(100, 50, x, 20), 0.3, 1.0);
            assert!((begin - expected).abs() < 0.15, "{x}: {begin}");
        }
        for (y, least, most) in [(0, 0.0, 0.1), (90, 0.9, 1.0)] {
            let begin = best_offset(&spotted(50, 100, 20, y), 1.0, 0.3);
            assert!((least..=most).contains(&begin), "{y}: {begin}");
        }
    }

    #[test]
    fn crop_of_a_uniform_image_is_centered() {
        let flat = Pixels { width: 101, height: 20, channels: 1, data: vec![128; 2020] };
        assert!((best_offset(&flat, 0.5, 1.0) - 0.5).abs() < 0.02);
        let dot = Pixels { width: 1, height: 1, channels: 1, data: vec![128] };
        assert!((best_offset(&dot, 1.0, 1.0) - 0.5).abs() < f64::EPSILON);
    }

    /// An image whose pixels are computed by `color`.
    fn painted(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 3]) -> Pixels {
        let color = &color;
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| color(x, y))).collect();
        Pixels { width, height, channels: 3, data }
    }

    /// A square of skin at `(left, top)` with dark spots, which stand for eyes and mouth.
    fn face((x, y): (u32, u32), (left, top): (u32, u32)) -> Option<[u8; 3]> {
        let inside = (left..left + 20).contains(&x) && (top..top + 20).contains(&y);
        let spot = x % 7 < 2 && y % 7 < 2;
        inside.then_some(if spot { [70, 50, 45] } else { [200, 146, 113] })
    }

    #[test]
    fn face_above_a_detailed_coat_stays_in_the_crop() {
        let person = painted(100, 100, |x, y| {
            let coat = y >= 40 && (20..80).contains(&x);
            face((x, y), (40, 10)).unwrap_or(match (coat, x % 10 < 2 || y % 10 < 2) {
                (true, true) => [235, 235, 230],
                (true, false) => [220, 70, 20],
                (false, _) => [120, 125, 130],
            })
        });
        for (kept, last) in [(0.5, 10.0), (1.0 / 3.0, 10.0)] {
            let top = best_offset(&person, 1.0, kept) * (1.0 - kept) * 100.0;
            assert!(top <= last && top + kept * 100.0 >= 30.0, "top: {top}");
        }
    }

    #[test]
    fn wall_with_the_color_of_skin_is_not_a_face() {
        let cup = painted(128, 80, |x, y| match (x.abs_diff(90) < 15, y.abs_diff(40) < 15) {
            (true, true) if y < 30 => [240, 240, 235],
            (true, true) => [40, 90, 140],
            _ => [200, 146, 113],
        });
        // The cup covers the columns 75 to 105, which the crop must contain.
        let left = best_offset(&cup, 80.0 / 128.0, 1.0) * 48.0;
        assert!((25.0..=48.0).contains(&left), "left: {left}");
    }

    #[test]
    fn rare_color_outweighs_a_saturated_color_that_fills_the_image() {
        let meadow = painted(120, 60, |x, y| {
            let flower = x.abs_diff(85) < 6 && y.abs_diff(30) < 6;
            if flower { [150, 140, 170] } else { [60, 180, 40] }
        });
        let left = best_offset(&meadow, 0.4, 1.0) * 72.0;
        assert!((43.0..=72.0).contains(&left), "left: {left}");
    }

    #[test]
    fn most_central_of_equal_crops_wins() {
        let spots = painted(120, 40, |x, y| {
            let spot = |at: u32| x.abs_diff(at) < 5 && y.abs_diff(20) < 5;
            if (spot(8) || spot(72)) && (x + y) % 2 == 0 { [255; 3] } else { [100; 3] }
        });
        let left = best_offset(&spots, 0.25, 1.0) * 90.0;
        assert!((47.0..=67.0).contains(&left), "left: {left}");
    }

    #[test]
    fn skin_outweighs_another_color_of_equal_saturation() {
        let data = (0..100).flat_map(|x| {
            if x < 20 {
                [200, 146, 113]
            } else if x >= 80 {
                [113, 200, 146]
            } else {
                [90; 3]
            }
        });
        let pixels = Pixels { width: 100, height: 1, channels: 3, data: data.collect() };
        assert!(best_offset(&pixels, 0.2, 1.0) < 0.1);
    }
}
