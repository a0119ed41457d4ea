//! Scaling of planes in linear light. Rows are converted to RGB and to light a few at a time, while they are scaled.

use std::num::NonZeroU32;
use std::ops::Range;

use crate::codec::planes::upsample::{self, Chroma};
use crate::codec::planes::{ColorPlane, Range as SampleRange, range_table};
use crate::pixels::{Pixels, Window};
use crate::transform::convolve::{Rows, convolve};
use crate::transform::linear_light;

/// Scales a window of the luma plane and the chroma planes that belong to it to gray or RGB of `size`.
pub(super) fn resample(
    range: SampleRange,
    luma: &ColorPlane,
    chroma: Option<[&ColorPlane; 2]>,
    window: Window,
    size: (NonZeroU32, NonZeroU32),
) -> Pixels {
    let samples = &luma.samples;
    match chroma {
        None => convolve(&mut GrayRows { samples, light: light_of_luma(range) }, window, size),
        Some(chroma) => {
            let chroma = chroma.map(|plane| Chroma::new(plane, luma));
            convolve(&mut ColorRows { luma: samples, chroma, range, row: Vec::new() }, window, size)
        }
    }
}

/// The light of each sample of luma.
fn light_of_luma(range: SampleRange) -> [f32; 256] {
    let levels = match range {
        SampleRange::Full => std::array::from_fn(|sample| sample.to_le_bytes()[0]),
        SampleRange::Limited => range_table(SampleRange::Full, false),
    };
    let mut light = [0.0; 256];
    linear_light::load(&levels, &mut light);
    light
}

struct GrayRows<'a> {
    samples: &'a Pixels,
    light: [f32; 256],
}

impl Rows for GrayRows<'_> {
    type Sample = u8;

    fn size(&self) -> (u32, u32) {
        (self.samples.width, self.samples.height)
    }

    fn channels(&self) -> usize {
        1
    }

    fn load(&mut self, y: usize, columns: Range<usize>, values: &mut [f32]) {
        for (value, [sample]) in values.iter_mut().zip(self.samples.row::<1>(y, columns)) {
            *value = self.light[usize::from(*sample)];
        }
    }

    fn store(&self, means: &[f32], row: &mut [u8]) {
        linear_light::store(means, row.as_chunks_mut::<1>().0);
    }
}

struct ColorRows<'a> {
    luma: &'a Pixels,
    chroma: [Chroma<'a>; 2],
    range: SampleRange,
    /// A row of red, then one of green and one of blue.
    row: Vec<u8>,
}

impl Rows for ColorRows<'_> {
    type Sample = u8;

    fn size(&self) -> (u32, u32) {
        (self.luma.width, self.luma.height)
    }

    fn channels(&self) -> usize {
        3
    }

    fn load(&mut self, y: usize, columns: Range<usize>, values: &mut [f32]) {
        let luma = self.luma.row::<1>(y, columns.clone()).as_flattened();
        let [blue, red] = self.chroma.each_mut().map(|chroma| chroma.row(y, &columns));
        self.row.resize(3 * luma.len(), 0);
        to_rgb(self.range, luma, blue, red, &mut self.row);
        linear_light::load(&self.row, values);
    }

    fn store(&self, means: &[f32], row: &mut [u8]) {
        linear_light::store(means, row.as_chunks_mut::<3>().0);
    }
}

/// Fraction bits of the sums of the matrix.
const FRACTION_BITS: u32 = 4;

/// The inverse matrix of ITU-R BT.601 (ITU-T T.871, section 7) for samples of one range, in fixed point.
struct Matrix {
    luma: i16,
    /// Added to the product of luma. Includes half a level, for rounding.
    offset: i16,
    red_of_red: i16,
    green_of_blue: i16,
    green_of_red: i16,
    blue_of_blue: i16,
}

const FULL: Matrix = Matrix::new(1.0, 0.0, 1.0);
const LIMITED: Matrix = Matrix::new(255.0 / 219.0, 16.0, 255.0 / 224.0);

impl Matrix {
    /// The matrix for samples that are multiplied by `luma` and `chroma`, after `black` is subtracted from luma.
    #[expect(clippy::cast_possible_truncation, reason = "less than 2^15")]
    const fn new(luma: f64, black: f64, chroma: f64) -> Self {
        // Sums have four fraction bits. Factors have seven less than 16, because samples have seven in products.
        const ONE: f64 = (1 << FRACTION_BITS) as f64;
        const FACTOR: f64 = ONE * 512.0;
        Self {
            luma: (luma * FACTOR) as i16,
            offset: ((0.5 - luma * black) * ONE) as i16,
            red_of_red: (1.402 * chroma * FACTOR) as i16,
            green_of_blue: (-0.344_136 * chroma * FACTOR) as i16,
            green_of_red: (-0.714_136 * chroma * FACTOR) as i16,
            blue_of_blue: (1.772 * chroma * FACTOR) as i16,
        }
    }
}

/// Converts a row to red, green and blue, one after the other.
fn to_rgb(range: SampleRange, luma: &[u8], blue: &[i16], red: &[i16], row: &mut [u8]) {
    // With constant factors, the compiler multiplies eight samples at once.
    match range {
        SampleRange::Full => apply(|| FULL, luma, blue, red, row),
        SampleRange::Limited => apply(|| LIMITED, luma, blue, red, row),
    }
}

#[inline(always)]
fn apply(matrix: impl Fn() -> Matrix, luma: &[u8], blue: &[i16], red: &[i16], row: &mut [u8]) {
    const SHIFT: u32 = 7 - upsample::FRACTION_BITS;
    let (reds, rest) = row.split_at_mut(luma.len());
    let (greens, blues) = rest.split_at_mut(luma.len());
    let samples = luma.iter().zip(blue).zip(red);
    let pixels = reds.iter_mut().zip(greens).zip(blues);
    for (((&luma, &blue), &red), ((to_red, to_green), to_blue)) in samples.zip(pixels) {
        let matrix = matrix();
        let luma = upper_product(i16::from(luma) << 7, matrix.luma) + matrix.offset;
        let (blue, red) = (blue << SHIFT, red << SHIFT);
        let green = upper_product(blue, matrix.green_of_blue) + upper_product(red, matrix.green_of_red);
        *to_red = level(luma + upper_product(red, matrix.red_of_red));
        *to_green = level(luma + green);
        *to_blue = level(luma + upper_product(blue, matrix.blue_of_blue));
    }
}

/// The upper 16 bits of a product.
#[inline(always)]
fn upper_product(a: i16, b: i16) -> i16 {
    let [.., low, high] = (i32::from(a) * i32::from(b)).to_le_bytes();
    i16::from_le_bytes([low, high])
}

#[inline(always)]
fn level(sum: i16) -> u8 {
    (sum >> FRACTION_BITS).clamp(0, 255).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrix_is_exact_to_one_level() {
        for (range, luma_factor, black, chroma_factor) in
            [(SampleRange::Full, 1.0, 0.0, 1.0), (SampleRange::Limited, 255.0 / 219.0, 16.0, 255.0 / 224.0)]
        {
            let samples = || (0..=255_u8).step_by(5);
            for (luma, blue, red) in
                samples().flat_map(|y| samples().flat_map(move |b| samples().map(move |r| (y, b, r))))
            {
                let fraction = |sample: u8| (i16::from(sample) - 128) << upsample::FRACTION_BITS;
                let mut made = [0; 3];
                to_rgb(range, &[luma], &[fraction(blue)], &[fraction(red)], &mut made);
                let luma = (f64::from(luma) - black) * luma_factor;
                let (blue, red) = ((f64::from(blue) - 128.0) * chroma_factor, (f64::from(red) - 128.0) * chroma_factor);
                let exact = [luma + 1.402 * red, luma - 0.344_136 * blue - 0.714_136 * red, luma + 1.772 * blue];
                for (made, exact) in made.into_iter().zip(exact) {
                    assert!((f64::from(made) - exact.clamp(0.0, 255.0)).abs() < 0.75, "{made} instead of {exact}");
                }
            }
        }
    }
}
