//! `_crop_smart`: where in a picture a viewer looks first, guessed cheaply.
//!
//! The picture is reduced to at most [`SIDE`] pixels a side, and each pixel gets a weight, of cheap signs of what a picture is about:
//!
//! - the detail in its brightness (L. Itti, C. Koch and E. Niebur, A Model of Saliency-Based Visual Attention, 1998),
//! - how rare its color is in this picture, in bits (N. Bruce and J. Tsotsos, Saliency Based on Information Maximization,
//!   2005), so that neither a strong color nor a large wall of it counts as such,
//! - how near its color is to those of skin, where that is rare and has detail around it: a face, and no wall,
//! - where it lies: what pictures are taken of, and looked at first, is near their middle (B. Tatler, The central fixation
//!   bias in scene viewing, 2007), and heads are above it.
//!
//! The crop is the one whose weights, counted more the nearer they lie to its middle, add up to most; among equals the one
//! nearest to the picture's middle. Whole numbers only, so it is the same everywhere. Knowing no faces, it takes a bright
//! window for a subject now and then.

use crate::pixels::Pixels;

/// The longest side of the picture that is looked at.
pub(crate) const SIDE: u32 = 128;

/// How far along its free way a crop should begin, from 0 (left or top) to 1 (right or bottom). `across` and `down`
/// are how much of the picture's width and height it keeps, from 0 to 1; the smaller of them is the free way.
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
    let worth = |begin: usize| -> u64 {
        let inside = sums[begin..begin + length].iter().enumerate();
        // A tent that stands at half its height at the crop's edges.
        inside.map(|(at, sum)| sum * (length + 2 * (at + 1).min(length - at)) as u64).sum()
    };
    let from_middle = |begin: usize| (2 * begin).abs_diff(last);
    let best =
        (0..=last).max_by_key(|&begin| (worth(begin), std::cmp::Reverse(from_middle(begin)))).unwrap_or(last / 2);
    #[expect(clippy::cast_precision_loss, reason = "0 to 128")]
    let begin = best as f64 / last as f64;
    begin
}

/// What a bit of rarity weighs, beside up to 255 of detail.
const RARITY: i32 = 8;
/// What skin of a rarity of [`SKIN_BITS`] weighs at most, in 255ths.
const SKIN: i32 = 8;
const SKIN_BITS: i32 = 6;
/// How busy it is where there is no detail at all, of 255.
const LEAST_BUSY: i32 = 16;
/// How much of its weight a pixel keeps at an edge of the picture, in 256ths.
const AT_EDGE: i32 = 96;
/// Where it keeps all, in 256ths of the width and of the height.
const MIDDLE: (i32, i32) = (128, 104);

/// A weight for each pixel, row by row.
fn weights(pixels: &Pixels) -> Vec<u64> {
    let channels = usize::from(pixels.channels.max(1));
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let colors: Vec<[i32; 3]> = pixels.data.chunks_exact(channels).map(seen).collect();
    let lumas: Vec<i32> = colors.iter().copied().map(luma).collect();
    let details = details(&lumas, width, height);
    let rarities = rarities(&colors, &lumas);
    let columns: Vec<i32> = (0..width).map(|x| near(x, width, MIDDLE.0)).collect();
    let mut weights = Vec::with_capacity(colors.len());
    for y in 0..height {
        let row = near(y, height, MIDDLE.1);
        for (x, column) in columns.iter().enumerate() {
            let n = y * width + x;
            let mut weight = details[n] + RARITY * rarities[n];
            let skin = skin(colors[n], lumas[n]) * rarities[n] / SKIN_BITS;
            if skin > 0 {
                weight += SKIN * skin * busy(&details, width, height, x, y) / 255;
            }
            weights.push((u64::from(weight.unsigned_abs()) * u64::from((row * column).unsigned_abs())) >> 16);
        }
    }
    weights
}

/// 0 to 255: how much brighter or darker than what is around it each pixel is.
fn details(lumas: &[i32], width: usize, height: usize) -> Vec<i32> {
    let mut details = Vec::with_capacity(lumas.len());
    for y in 0..height {
        let row = |y: usize| &lumas[y * width..(y + 1) * width];
        let (above, here, below) = (row(y.saturating_sub(1)), row(y), row((y + 1).min(height - 1)));
        for x in 0..width {
            let around = here[x.saturating_sub(1)] + here[(x + 1).min(width - 1)] + above[x] + below[x];
            details.push((4 * here[x] - around).abs().min(255));
        }
    }
    details
}

/// 0 to 255: how much detail there is in the pixel and the eight around it. Little is enough, since skin is smooth.
fn busy(details: &[i32], width: usize, height: usize, x: usize, y: usize) -> i32 {
    let rows = y.saturating_sub(1)..(y + 2).min(height);
    let columns = x.saturating_sub(1)..(x + 2).min(width);
    let sum: i32 = rows.map(|y| details[y * width..][columns.clone()].iter().sum::<i32>()).sum();
    (LEAST_BUSY + sum).min(255)
}

/// 0 to 14: the whole bits of information that each pixel's color has, of 8 steps of brightness and 8 by 8 of hue.
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

/// 256 at `middle`, and less the farther from it.
fn near(at: usize, length: usize, middle: i32) -> i32 {
    let at = i32::try_from(256 * at / length).unwrap_or(0);
    256 - (256 - AT_EDGE) * (at - middle).abs() / 128
}

/// A pixel as it is seen on white.
fn seen(pixel: &[u8]) -> [i32; 3] {
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

/// ITU-R BT.601, in eighths of bits enough for this.
fn luma([red, green, blue]: [i32; 3]) -> i32 {
    (77 * red + 150 * green + 29 * blue) >> 8
}

/// 0 to 255: how near the direction of a color is to that of skin, which differs between people in brightness far more
/// than in direction: red to green to blue about 78 : 57 : 44.
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

    /// A flat gray picture with a checkered square at `(x, y)`.
    fn spotted(width: u32, height: u32, x: u32, y: u32) -> Pixels {
        let data = (0..height).flat_map(|row| (0..width).map(move |column| (column, row))).flat_map(|(column, row)| {
            let inside = (x..x + 10).contains(&column) && (y..y + 10).contains(&row);
            [if inside && (column + row) % 2 == 0 { 255 } else { 100 }; 3]
        });
        Pixels { width, height, channels: 3, data: data.collect() }
    }

    #[test]
    fn a_crop_goes_to_what_stands_out() {
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
    fn where_nothing_stands_out_it_is_the_middle() {
        let flat = Pixels { width: 101, height: 20, channels: 1, data: vec![128; 2020] };
        assert!((best_offset(&flat, 0.5, 1.0) - 0.5).abs() < 0.02);
        let dot = Pixels { width: 1, height: 1, channels: 1, data: vec![128] };
        assert!((best_offset(&dot, 1.0, 1.0) - 0.5).abs() < f64::EPSILON);
    }

    /// A picture whose pixel at each place is what `color` says.
    fn painted(width: u32, height: u32, color: impl Fn(u32, u32) -> [u8; 3]) -> Pixels {
        let color = &color;
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| color(x, y))).collect();
        Pixels { width, height, channels: 3, data }
    }

    /// Skin in a square of 20 from `(left, top)` on, and what eyes and a mouth are to this: some darker spots.
    fn face((x, y): (u32, u32), (left, top): (u32, u32)) -> Option<[u8; 3]> {
        let inside = (left..left + 20).contains(&x) && (top..top + 20).contains(&y);
        let spot = x % 7 < 2 && y % 7 < 2;
        inside.then_some(if spot { [70, 50, 45] } else { [200, 146, 113] })
    }

    #[test]
    fn a_face_above_a_coat_of_many_details_stays_in_the_picture() {
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
            assert!(top <= last && top + kept * 100.0 >= 30.0, "from {top} on");
        }
    }

    #[test]
    fn a_wall_of_the_color_of_skin_is_no_face() {
        let cup = painted(128, 80, |x, y| match (x.abs_diff(90) < 15, y.abs_diff(40) < 15) {
            (true, true) if y < 30 => [240, 240, 235],
            (true, true) => [40, 90, 140],
            _ => [200, 146, 113],
        });
        // From 75 to 105, of which nothing is to be cut off.
        let left = best_offset(&cup, 80.0 / 128.0, 1.0) * 48.0;
        assert!((25.0..=48.0).contains(&left), "from {left} on");
    }

    #[test]
    fn a_strong_color_that_is_everywhere_outweighs_no_rare_one() {
        let meadow = painted(120, 60, |x, y| {
            let flower = x.abs_diff(85) < 6 && y.abs_diff(30) < 6;
            if flower { [150, 140, 170] } else { [60, 180, 40] }
        });
        let left = best_offset(&meadow, 0.4, 1.0) * 72.0;
        assert!((43.0..=72.0).contains(&left), "from {left} on");
    }

    #[test]
    fn among_equals_it_is_what_lies_nearest_to_the_middle() {
        let spots = painted(120, 40, |x, y| {
            let spot = |at: u32| x.abs_diff(at) < 5 && y.abs_diff(20) < 5;
            if (spot(8) || spot(72)) && (x + y) % 2 == 0 { [255; 3] } else { [100; 3] }
        });
        let left = best_offset(&spots, 0.25, 1.0) * 90.0;
        assert!((47.0..=67.0).contains(&left), "from {left} on");
    }

    #[test]
    fn skin_outweighs_a_color_of_equal_strength() {
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
