//! `_crop_smart`: where in a picture a viewer looks first, guessed cheaply.
//!
//! The picture is reduced to at most [`SIDE`] pixels a side, and each pixel gets a weight: for the detail in its
//! brightness, for how strong its colour is, and for how near it is to the colours of skin. These are the usual cheap
//! signs of what a picture is about (compare L. Itti, C. Koch and E. Niebur, A Model of Saliency-Based Visual Attention,
//! 1998). The crop is the one whose weights, counted more the nearer they lie to its middle, add up to most; among
//! equals the one nearest to the picture's middle. Whole numbers only, so it is the same everywhere.

use super::scale::Pixels;

/// The longest side of the picture that is looked at.
pub(super) const SIDE: u32 = 128;

/// How far along its free way a crop should begin, from 0 (left or top) to 1 (right or bottom). `across` and `down`
/// are how much of the picture's width and height it keeps, from 0 to 1; the smaller of them is the free way.
pub(super) fn begin(reduced: &Pixels, across: f64, down: f64) -> f64 {
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

/// A weight for each pixel, row by row.
fn weights(pixels: &Pixels) -> Vec<u64> {
    let channels = usize::from(pixels.channels.max(1));
    let (width, height) = (pixels.width as usize, pixels.height as usize);
    let colours: Vec<[i32; 3]> = pixels.data.chunks_exact(channels).map(seen).collect();
    let luma = |x: usize, y: usize| luma(colours[y * width + x]);
    let mut weights = Vec::with_capacity(colours.len());
    for y in 0..height {
        for x in 0..width {
            let here = luma(x, y);
            let around = luma(x.saturating_sub(1), y)
                + luma((x + 1).min(width - 1), y)
                + luma(x, y.saturating_sub(1))
                + luma(x, (y + 1).min(height - 1));
            let detail = (4 * here - around).abs().min(255);
            let colour = colours[y * width + x];
            let weight = 4 * detail + strength(colour, here) + 3 * skin(colour, here);
            weights.push(u64::from(weight.unsigned_abs()));
        }
    }
    weights
}

/// A pixel as it is seen on white.
fn seen(pixel: &[u8]) -> [i32; 3] {
    let (colour, alpha) = match *pixel {
        [grey] => ([grey; 3], 255),
        [grey, alpha] => ([grey; 3], alpha),
        [red, green, blue] => ([red, green, blue], 255),
        [red, green, blue, alpha, ..] => ([red, green, blue], alpha),
        [] => ([0; 3], 0),
    };
    let alpha = i32::from(alpha);
    colour.map(|sample| (i32::from(sample) * alpha + 255 * (255 - alpha)) / 255)
}

/// ITU-R BT.601, in eighths of bits enough for this.
fn luma([red, green, blue]: [i32; 3]) -> i32 {
    (77 * red + 150 * green + 29 * blue) >> 8
}

/// How strong a colour is, where it is neither nearly black nor nearly white.
fn strength(colour: [i32; 3], luma: i32) -> i32 {
    if !(26..=230).contains(&luma) {
        return 0;
    }
    let most = colour.into_iter().max().unwrap_or(0);
    let least = colour.into_iter().min().unwrap_or(0);
    (most - least) / 2
}

/// 0 to 255: how near the direction of a colour is to that of skin, which differs between people in brightness far more
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

    /// A flat grey picture with a chequered square at `(x, y)`.
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
            let begin = begin(&spotted(100, 50, x, 20), 0.3, 1.0);
            assert!((begin - expected).abs() < 0.15, "{x}: {begin}");
        }
        for (y, least, most) in [(0, 0.0, 0.1), (90, 0.9, 1.0)] {
            let begin = begin(&spotted(50, 100, 20, y), 1.0, 0.3);
            assert!((least..=most).contains(&begin), "{y}: {begin}");
        }
    }

    #[test]
    fn where_nothing_stands_out_it_is_the_middle() {
        let flat = Pixels { width: 101, height: 20, channels: 1, data: vec![128; 2020] };
        assert!((begin(&flat, 0.5, 1.0) - 0.5).abs() < 0.02);
        let dot = Pixels { width: 1, height: 1, channels: 1, data: vec![128] };
        assert!((begin(&dot, 1.0, 1.0) - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn skin_outweighs_a_colour_of_equal_strength() {
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
        assert!(begin(&pixels, 0.2, 1.0) < 0.1);
    }
}
