//! Images as planes, the representation of JPEG and lossy WebP: mostly luma and chroma with the matrix of ITU-R BT.601.
//!
//! Planes are scaled separately, each to the size that the encoder needs. If the encoder accepts planes, no RGB pixels
//! are computed.

use std::num::NonZeroU32;

use fast_image_resize::ResizeAlg;

use crate::error::{Error, damaged};
use crate::pixels::{Pixels, Window};
use crate::transform::scale::{BILINEAR, LANCZOS, resample};

mod linear_light;
mod upsample;

/// The range of sample values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// 0 to 255 (JFIF; ITU-T T.871).
    Full,
    /// 16 to 235, and 16 to 240 for chroma (VP8; RFC 6386, section 9.2).
    Limited,
}

/// The meaning of the components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PlaneColors {
    /// Luma, or luma, Cb and Cr.
    Yuv,
    /// Red, green and blue.
    Rgb,
    /// Cyan, magenta, yellow and black, where 255 is full ink.
    Cmyk,
    /// The inverse of CMYK, where 0 is full ink.
    InvertedCmyk,
    /// Cyan, magenta and yellow as luma, Cb and Cr, and the inverse of black.
    Ycck,
}

impl PlaneColors {
    /// True if the pixels are CMYK.
    pub(crate) const fn are_inks(self) -> bool {
        matches!(self, Self::Cmyk | Self::InvertedCmyk | Self::Ycck)
    }
}

/// One plane of an image.
#[derive(Debug)]
pub(crate) struct ColorPlane {
    /// Index of the component, in the order of [`PlaneColors`].
    pub(crate) component: usize,
    pub(crate) samples: Pixels,
    /// Samples per pixel of the original, horizontally and vertically.
    pub(crate) density: (f64, f64),
    /// The largest density, in samples per pixel of the original, of a variant that may be scaled from this plane.
    pub(crate) max_density: (f64, f64),
}

/// The planes of an image. Each component has one or more planes, in ascending order of `max_density`.
#[derive(Debug)]
pub(crate) struct ColorPlanes {
    pub(crate) colors: PlaneColors,
    pub(crate) range: Range,
    pub(crate) planes: Vec<ColorPlane>,
}

/// An image in 4:2:0, with chroma sizes rounded up, or luma only.
#[derive(Debug)]
pub(crate) struct Yuv420 {
    pub(crate) range: Range,
    pub(crate) planes: Vec<Pixels>,
}

type Size = (NonZeroU32, NonZeroU32);

/// The chroma size for a luma size in 4:2:0.
fn half((width, height): Size) -> Size {
    let half = |side: NonZeroU32| NonZeroU32::new(side.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN);
    (half(width), half(height))
}

/// True if a plane of this density has at least `size` samples in the window.
pub(crate) fn has_enough((across, down): (f64, f64), window: &Window, size: Size) -> bool {
    window.width * across >= f64::from(size.0.get()) && window.height * down >= f64::from(size.1.get())
}

/// Minimum density of a luma plane that is scaled in linear light.
///
/// A JPEG that is decoded at a reduced scale is averaged before the samples are converted to light, so at most 4 x 4
/// pixels are. docs/decisions/linear-light.md has the quality and the cost of other limits.
const LIGHT_DENSITY: f64 = 0.25;

/// Minimum number of samples of such a plane per sample of the variant, in each direction. Without a margin, a variant of
/// exactly half the size would be averaged by the decoder alone.
const LIGHT_MARGIN: f64 = 1.2;

/// True if a plane of component `n` with this density may be scaled to `size` in linear light.
pub(crate) fn preserves_light(n: usize, (across, down): (f64, f64), window: &Window, size: Size) -> bool {
    let density = (across / LIGHT_MARGIN, down / LIGHT_MARGIN);
    n > 0 || (across.min(down) >= LIGHT_DENSITY && has_enough(density, window, size))
}

impl ColorPlanes {
    /// Scales the window of luma and chroma to `size`, with chroma at half the width and height.
    pub(crate) fn scale_to_yuv420(&self, window: &Window, size: Size) -> Result<Yuv420, Error> {
        let planes = self.components().map(|n| {
            let plane = self.enough(n, window, size, |_| true)?;
            let size = if n == 0 { size } else { half(size) };
            resample(&plane.samples, plane.window(window), size, LANCZOS, false)
        });
        Ok(Yuv420 { range: self.range, planes: planes.collect::<Result<_, _>>()? })
    }

    /// Scales the window to `size` and converts it to gray, RGB or CMYK.
    pub(crate) fn scale_to_pixels(&self, window: &Window, size: Size, algorithm: ResizeAlg) -> Result<Pixels, Error> {
        let planes = self.components().map(|n| {
            let plane = self.enough(n, window, size, |_| true)?;
            resample(&plane.samples, plane.window(window), size, algorithm, false)
        });
        Ok(to_pixels(self.colors, self.range, planes.collect::<Result<_, _>>()?))
    }

    /// Converts the whole image to gray, RGB or CMYK pixels. Each component must have one plane. Subsampled planes are
    /// interpolated linearly, as in libjpeg ("fancy upsampling").
    pub(crate) fn into_pixels(self, size: Size) -> Result<Pixels, Error> {
        let Self { colors, range, planes } = self;
        let whole = Window { x: 0.0, y: 0.0, width: f64::from(size.0.get()), height: f64::from(size.1.get()) };
        let planes = planes.into_iter().map(|plane| {
            if (plane.samples.width, plane.samples.height) == (size.0.get(), size.1.get()) {
                return Ok(plane.samples);
            }
            resample(&plane.samples, plane.window(&whole), size, BILINEAR, false)
        });
        Ok(to_pixels(colors, range, planes.collect::<Result<_, _>>()?))
    }

    /// Scales the window of luma and chroma to `size` in linear light, and converts it to gray or RGB.
    ///
    /// # Errors
    /// A plane is missing.
    pub(crate) fn scale_in_linear_light(&self, window: &Window, size: Size) -> Result<Pixels, Error> {
        if (window.width, window.height) == (f64::from(size.0.get()), f64::from(size.1.get())) {
            return self.scale_to_pixels(window, size, LANCZOS);
        }
        let plane = |n: usize| self.enough(n, window, size, |plane| preserves_light(n, plane.density, window, size));
        let luma = plane(0)?;
        let chroma = if self.components().len() == 1 { None } else { Some([plane(1)?, plane(2)?]) };
        Ok(linear_light::resample(self.range, luma, chroma, luma.window(window), size))
    }

    fn components(&self) -> std::ops::Range<usize> {
        0..self.planes.iter().map(|plane| plane.component + 1).max().unwrap_or(1)
    }

    /// The first plane of component `n` that is acceptable and good enough for the window at `size`, or else the last.
    fn enough(
        &self,
        n: usize,
        window: &Window,
        size: Size,
        is_acceptable: impl Fn(&ColorPlane) -> bool,
    ) -> Result<&ColorPlane, Error> {
        let mut planes = self.planes.iter().filter(|plane| plane.component == n);
        let is_enough = |plane: &&ColorPlane| is_acceptable(plane) && has_enough(plane.max_density, window, size);
        let plane = planes.clone().find(is_enough).or_else(|| planes.next_back());
        plane.ok_or_else(|| damaged("a plane is missing"))
    }
}

impl ColorPlane {
    /// Converts a window in pixels to samples. It is clamped to the plane, whose last samples may cover only a part of
    /// a pixel.
    fn window(&self, window: &Window) -> Window {
        let (across, down) = self.density;
        let (x, y) = ((window.x * across).max(0.0), (window.y * down).max(0.0));
        let width = (window.width * across).min(f64::from(self.samples.width) - x);
        let height = (window.height * down).min(f64::from(self.samples.height) - y);
        Window { x, y, width, height }
    }
}

impl Yuv420 {
    /// Converts the samples to another range.
    pub(crate) fn into_range(mut self, range: Range) -> Self {
        if self.range != range {
            for (n, plane) in self.planes.iter_mut().enumerate() {
                let table = range_table(range, n > 0);
                plane.data.iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]);
            }
        }
        Self { range, ..self }
    }

    /// True if [`into_range`](Self::into_range) would change colors, because it clamps luma of limited range: some luma
    /// lies outside of 16 to 235 by more than two levels, in a color that is not gray.
    pub(crate) fn clamps_colors(&self) -> bool {
        let [luma, blue, red] = self.planes.as_slice() else { return false };
        let (width, half_width) = (luma.width as usize, blue.width as usize);
        let is_outside = |luma: &u8| !(14..=237).contains(luma);
        let is_colored = |chroma: &u8| chroma.abs_diff(128) > 2;
        let chroma_rows = blue.data.chunks(half_width).zip(red.data.chunks(half_width));
        self.range == Range::Limited
            && luma.data.chunks(2 * width).zip(chroma_rows).any(|(rows, (blue, red))| {
                rows.iter().any(is_outside)
                    && rows.chunks(width).any(|row| {
                        let chroma = blue.iter().zip(red);
                        row.chunks(2).zip(chroma).any(|(luma, (blue, red))| {
                            luma.iter().any(is_outside) && (is_colored(blue) || is_colored(red))
                        })
                    })
            })
    }

    /// Converts gray or RGB pixels to full-range planes. Each chroma sample is the mean of its pixels.
    pub(crate) fn from_pixels(pixels: &Pixels) -> Self {
        let (width, height) = (pixels.width as usize, pixels.height as usize);
        if pixels.channels == 1 {
            return Self { range: Range::Full, planes: vec![pixels.clone()] };
        }
        let luma: Vec<u8> = pixels.data.as_chunks::<3>().0.iter().map(|pixel| luma(*pixel)).collect();
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let mut chroma = [Vec::with_capacity(half_width * half_height), Vec::with_capacity(half_width * half_height)];
        for rows in pixels.data.chunks(2 * 3 * width) {
            let (above, below) = rows.split_at(3 * width);
            // The last row of an odd number is used twice.
            let below = if below.is_empty() { above } else { below };
            for (above, below) in above.chunks(6).zip(below.chunks(6)) {
                let sum = |channel: usize| {
                    let pair = |row: &[u8]| {
                        let right = row.get(channel + 3).unwrap_or(&row[channel]);
                        i32::from(row[channel]) + i32::from(*right)
                    };
                    pair(above) + pair(below)
                };
                let [blue, red] = chroma_of_sums([sum(0), sum(1), sum(2)]);
                chroma[0].push(blue);
                chroma[1].push(red);
            }
        }
        let side = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let plane = |width, height, data| Pixels { width: side(width), height: side(height), channels: 1, data };
        let [blue, red] = chroma.map(|data| plane(half_width, half_height, data));
        Self { range: Range::Full, planes: vec![plane(width, height, luma), blue, red] }
    }
}

/// Lookup table that converts samples to another range, rounded and clamped.
fn range_table(to: Range, is_chroma: bool) -> [u8; 256] {
    let (steps, full_zero) = if is_chroma { (224, 128) } else { (219, 0) };
    std::array::from_fn(|level| {
        let level = i32::try_from(level).unwrap_or(0);
        let zero = if is_chroma { 128 } else { 16 };
        let converted = match to {
            Range::Limited => divide_rounded((level - full_zero) * steps, 255) + zero,
            Range::Full => divide_rounded((level - zero) * 255, steps) + full_zero,
        };
        u8::try_from(converted.clamp(0, 255)).unwrap_or(0)
    })
}

/// Divides and rounds to nearest, half away from zero.
fn divide_rounded(numerator: i32, denominator: i32) -> i32 {
    (numerator + numerator.signum() * denominator / 2) / denominator
}

/// Luma of a pixel (ITU-T T.871, section 7): the weights 0.299, 0.587 and 0.114 in fixed point with 16 fractional bits.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + (1 << 15);
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

/// Cb and Cr from the sums of four pixels (ITU-T T.871, section 7): the weights -0.168736, -0.331264, 0.5 and 0.5,
/// -0.418688, -0.081312.
fn chroma_of_sums([red, green, blue]: [i32; 3]) -> [u8; 2] {
    let sample = |sum: i32| u8::try_from(((sum + (1 << 17)) >> 18).saturating_add(128).clamp(0, 255)).unwrap_or(0);
    [sample(-11_059 * red - 21_709 * green + 32_768 * blue), sample(32_768 * red - 27_439 * green - 5_329 * blue)]
}

/// Converts planes of equal size to gray, RGB or CMYK.
fn to_pixels(colors: PlaneColors, range: Range, mut planes: Vec<Pixels>) -> Pixels {
    match colors {
        PlaneColors::Yuv => rgb(range, planes),
        PlaneColors::Rgb => interleaved::<3>(&planes),
        PlaneColors::Cmyk => interleaved::<4>(&planes),
        PlaneColors::InvertedCmyk => {
            planes.iter_mut().for_each(invert);
            interleaved::<4>(&planes)
        }
        PlaneColors::Ycck => {
            let Some(mut black) = planes.pop() else { return rgb(range, planes) };
            invert(&mut black);
            let colors = rgb(range, planes);
            let pixels = colors.data.as_chunks::<3>().0.iter().zip(&black.data);
            let data = pixels.flat_map(|(&[cyan, magenta, yellow], &black)| [cyan, magenta, yellow, black]).collect();
            Pixels { channels: 4, data, ..colors }
        }
    }
}

fn invert(plane: &mut Pixels) {
    plane.data.iter_mut().for_each(|sample| *sample = 255 - *sample);
}

/// Interleaves planes of equal size.
fn interleaved<const CHANNELS: usize>(planes: &[Pixels]) -> Pixels {
    let (width, height) = planes.first().map_or((0, 0), |plane| (plane.width, plane.height));
    let mut data = vec![0; CHANNELS * width as usize * height as usize];
    for (n, plane) in planes.iter().enumerate().take(CHANNELS) {
        for (pixel, &sample) in data.as_chunks_mut::<CHANNELS>().0.iter_mut().zip(&plane.data) {
            pixel[n] = sample;
        }
    }
    Pixels { width, height, channels: CHANNELS as u8, data }
}

/// Converts planes of equal size to gray or RGB.
fn rgb(range: Range, planes: Vec<Pixels>) -> Pixels {
    let [luma, blue, red] = planes.as_slice() else {
        return Yuv420 { range, planes }.into_range(Range::Full).planes.swap_remove(0);
    };
    let mut data = vec![0; 3 * luma.data.len()];
    let samples = luma.data.iter().zip(&blue.data).zip(&red.data);
    let pixels = data.as_chunks_mut::<3>().0.iter_mut().zip(samples);
    match range {
        Range::Full => pixels.for_each(|(pixel, ((&luma, &blue), &red))| *pixel = full_to_rgb(luma, blue, red)),
        Range::Limited => pixels.for_each(|(pixel, ((&luma, &blue), &red))| *pixel = limited_to_rgb(luma, blue, red)),
    }
    Pixels { width: luma.width, height: luma.height, channels: 3, data }
}

/// The inverse matrix of JFIF (ITU-T T.871, section 7).
#[inline(always)]
fn full_to_rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let (luma, blue, red) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
    [level(luma + 1.402 * red), level(luma - 0.344_136 * blue - 0.714_136 * red), level(luma + 1.772 * blue)]
}

/// The matrix of ITU-R BT.601 for limited range as libwebp applies it, with coefficients of 14 fractional bits. Luma
/// below 16 is darker than black, and chroma may make it visible, so only the result is clamped.
#[inline(always)]
pub(crate) fn limited_to_rgb(luma: u8, blue: u8, red: u8) -> [u8; 3] {
    let part = |sample: u8, coefficient: i32| (i32::from(sample) * coefficient) >> 8;
    let clip = |sum: i32| u8::try_from((sum >> 6).clamp(0, 255)).unwrap_or(0);
    let luma = part(luma, 19_077);
    [
        clip(luma + part(red, 26_149) - 14_234),
        clip(luma - part(blue, 6_419) - part(red, 13_320) + 8_708),
        clip(luma + part(blue, 33_050) - 17_685),
    ]
}

/// Rounds and clamps to 0..=255. Adding 2^23 to a small positive number leaves its rounded value in the lowest bits.
#[inline(always)]
pub(crate) fn level(value: f32) -> u8 {
    let low = if value > 0.0 { value } else { 0.0 };
    let clamped = if low < 255.0 { low } else { 255.0 };
    (clamped + 8_388_608.0).to_bits().to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_range_is_converted_by_the_matrix_without_clamping_luma() {
        for (luma, blue, red) in (0..=255_u8).flat_map(|y| [0, 90, 128, 200, 255].map(|n| (y, n, 255 - n / 2))) {
            let (y, b, r) = (f64::from(luma) - 16.0, f64::from(blue) - 128.0, f64::from(red) - 128.0);
            let y = y * 255.0 / 219.0;
            let (b, r) = (b * 255.0 / 224.0, r * 255.0 / 224.0);
            let expected = [y + 1.402 * r, y - 0.344_136 * b - 0.714_136 * r, y + 1.772 * b];
            let plane = |sample| Pixels { width: 1, height: 1, channels: 1, data: vec![sample] };
            let made = rgb(Range::Limited, vec![plane(luma), plane(blue), plane(red)]);
            for (made, expected) in made.data.into_iter().zip(expected) {
                assert!((f64::from(made) - expected.clamp(0.0, 255.0)).abs() <= 1.0, "{luma} {blue} {red}");
            }
        }
    }
}
