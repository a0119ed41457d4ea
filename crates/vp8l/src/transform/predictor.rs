//! The predictor transform (RFC 9649, section 4.1): each pixel is the difference from a prediction by its neighbors.

use crate::Pixel;
use crate::transform::BlockImage;

/// The prediction mode of each block, in green.
#[derive(Debug)]
pub(super) struct Predictor(pub(super) BlockImage);

impl Predictor {
    /// Adds the predictions to row `y`. The rows above are complete.
    pub(super) fn invert_row(&self, pixels: &mut [Pixel], width: usize, y: usize) {
        let start = y * width;
        if y == 0 {
            // The first pixel is predicted as opaque black, the others of the row as the pixel on the left.
            pixels[0][3] = pixels[0][3].wrapping_add(255);
            return add_left(&mut pixels[..width]);
        }
        pixels[start] = add(pixels[start], pixels[start - width]);
        let mut x = 1;
        for (block, [_, mode, ..]) in self.0.row(y).iter().enumerate() {
            let end = ((block + 1) * self.0.side()).min(width);
            if x < end {
                predict(*mode, pixels, start + x, end - x, width);
                x = end;
            }
        }
    }
}

/// Adds the predictions of a mode to `count` pixels from `start` on, which lie in one row and are not its first.
fn predict(mode: u8, pixels: &mut [Pixel], start: usize, count: usize, width: usize) {
    let (done, rest) = pixels.split_at_mut(start);
    let row = &mut rest[..count];
    // The top right neighbor of the last pixel in a row is the first pixel of that row (RFC 9649, section 4.1).
    let above = |from: usize| &done[from..from + count];
    let [top_left, top, top_right] = [start - width - 1, start - width, start - width + 1].map(above);
    let left = done[start - 1];
    // libwebp ignores the other bits.
    match mode & 15 {
        1 => add_left(&mut pixels[start - 1..start + count]),
        2 => add_all(row, top),
        3 => add_all(row, top_right),
        4 => add_all(row, top_left),
        5 => with_left(row, left, top.iter().zip(top_right), |left, (top, right)| mean(mean(left, *right), *top)),
        6 => with_left(row, left, top_left.iter(), |left, corner| mean(left, *corner)),
        7 => with_left(row, left, top.iter(), |left, top| mean(left, *top)),
        8 => add_means(row, top_left, top),
        9 => add_means(row, top, top_right),
        10 => with_left(row, left, top_left.iter().zip(top).zip(top_right), |left, ((corner, top), right)| {
            mean(mean(left, *corner), mean(*top, *right))
        }),
        11 => with_left(row, left, top_left.iter().zip(top), |left, (corner, top)| select(left, *top, *corner)),
        12 => with_left(row, left, top_left.iter().zip(top), |left, (corner, top)| gradient(left, *top, *corner)),
        13 => with_left(row, left, top_left.iter().zip(top), |left, (corner, top)| half_gradient(left, *top, *corner)),
        // Opaque black. libwebp treats the undefined modes in the same way.
        _ => row.iter_mut().for_each(|pixel| pixel[3] = pixel[3].wrapping_add(255)),
    }
}

/// Adds to each pixel but the first the one on its left.
fn add_left(row: &mut [Pixel]) {
    let Some((first, rest)) = row.split_first_mut() else { return };
    let mut left = *first;
    for pixel in rest {
        left = add(*pixel, left);
        *pixel = left;
    }
}

fn add_all(row: &mut [Pixel], predicted: &[Pixel]) {
    let samples = row.as_flattened_mut().iter_mut().zip(predicted.as_flattened());
    samples.for_each(|(sample, predicted)| *sample = sample.wrapping_add(*predicted));
}

fn add_means(row: &mut [Pixel], a: &[Pixel], b: &[Pixel]) {
    let predictions = a.as_flattened().iter().zip(b.as_flattened());
    for (sample, (a, b)) in row.as_flattened_mut().iter_mut().zip(predictions) {
        *sample = sample.wrapping_add((a & b) + ((a ^ b) >> 1));
    }
}

/// Adds predictions that depend on the pixel on the left.
#[inline(always)]
fn with_left<T>(
    row: &mut [Pixel],
    mut left: Pixel,
    others: impl Iterator<Item = T>,
    predict: impl Fn(Pixel, T) -> Pixel,
) {
    for (pixel, others) in row.iter_mut().zip(others) {
        left = add(*pixel, predict(left, others));
        *pixel = left;
    }
}

#[inline(always)]
fn add(a: Pixel, b: Pixel) -> Pixel {
    std::array::from_fn(|n| a[n].wrapping_add(b[n]))
}

/// The means, rounded down.
#[inline(always)]
fn mean(a: Pixel, b: Pixel) -> Pixel {
    std::array::from_fn(|n| (a[n] & b[n]) + ((a[n] ^ b[n]) >> 1))
}

/// The one of `left` and `top` that is closer to their sum minus the corner.
#[inline(always)]
fn select(left: Pixel, top: Pixel, corner: Pixel) -> Pixel {
    let sum = |a: Pixel| -> u32 { a.iter().zip(corner).map(|(a, corner)| u32::from(a.abs_diff(corner))).sum() };
    // The distance from the left is that of the top from the corner, and the reverse.
    if sum(top) < sum(left) { left } else { top }
}

#[inline(always)]
fn gradient(left: Pixel, top: Pixel, corner: Pixel) -> Pixel {
    std::array::from_fn(|n| clamp(i16::from(left[n]) + i16::from(top[n]) - i16::from(corner[n])))
}

#[inline(always)]
fn half_gradient(left: Pixel, top: Pixel, corner: Pixel) -> Pixel {
    std::array::from_fn(|n| {
        let mean = (i16::from(left[n]) + i16::from(top[n])) / 2;
        clamp(mean + (mean - i16::from(corner[n])) / 2)
    })
}

#[inline(always)]
fn clamp(sample: i16) -> u8 {
    sample.clamp(0, 255) as u8
}
