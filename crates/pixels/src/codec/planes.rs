//! A picture as luma and two differences of color, by the matrix of ITU-R BT.601: what JPEG and lossy WebP hold, and
//! what both are made of.
//!
//! Planes are scaled apart, each to its own size. Where a variant of some size is to be planes again, no pixel is ever
//! made.

use std::num::NonZeroU32;

use fast_image_resize::ResizeAlg;

use crate::error::{Error, damaged};
use crate::pixels::{Pixels, Window};
use crate::transform::scale::{LANCZOS, resample};

/// Which levels the samples have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// 0 to 255 (JFIF; ITU-T T.871).
    Full,
    /// 16 to 235, and 16 to 240 for chroma (VP8; RFC 6386 section 9.2).
    Limited,
}

/// One plane of a picture.
#[derive(Debug)]
pub(crate) struct YuvPlane {
    /// Which one: luma is 0.
    pub(crate) component: usize,
    pub(crate) samples: Pixels,
    /// Samples that lie on one pixel of the picture, across and down.
    pub(crate) density: (f64, f64),
    /// Samples that a variant may have for one pixel of the picture, across and down, to be made of this plane.
    pub(crate) max_density: (f64, f64),
}

/// Planes of one picture: luma alone, or all three; of each one or more, that which serves the least first.
#[derive(Debug)]
pub(crate) struct YuvPlanes {
    pub(crate) range: Range,
    pub(crate) planes: Vec<YuvPlane>,
}

/// Luma, and chroma of half its size both ways, rounded up; or luma alone.
#[derive(Debug)]
pub(crate) struct Yuv420 {
    pub(crate) range: Range,
    pub(crate) planes: Vec<Pixels>,
}

type Size = (NonZeroU32, NonZeroU32);

/// The size of chroma beside luma of `size`.
fn half((width, height): Size) -> Size {
    let half = |side: NonZeroU32| NonZeroU32::new(side.get().div_ceil(2)).unwrap_or(NonZeroU32::MIN);
    (half(width), half(height))
}

/// Whether a plane of `density` has at least as many samples in the window as `size` says.
pub(crate) fn has_enough((across, down): (f64, f64), window: &Window, size: Size) -> bool {
    window.width * across >= f64::from(size.0.get()) && window.height * down >= f64::from(size.1.get())
}

impl YuvPlanes {
    pub(crate) fn is_gray(&self) -> bool {
        self.planes.iter().all(|plane| plane.component == 0)
    }

    /// The window at `size`, with chroma of half that.
    pub(crate) fn scale_to_yuv420(&self, window: &Window, size: Size) -> Result<Yuv420, Error> {
        let sizes = [size, half(size), half(size)];
        let planes = self.components().map(|n| {
            let plane = self.enough(n, window, size)?;
            resample(&plane.samples, plane.window(window), sizes[n], LANCZOS, false)
        });
        Ok(Yuv420 { range: self.range, planes: planes.collect::<Result<_, _>>()? })
    }

    /// The window at `size`, in gray or RGB.
    pub(crate) fn scale_to_pixels(&self, window: &Window, size: Size, algorithm: ResizeAlg) -> Result<Pixels, Error> {
        let planes = self.components().map(|n| {
            let plane = self.enough(n, window, size)?;
            resample(&plane.samples, plane.window(window), size, algorithm, false)
        });
        Ok(rgb(self.range, planes.collect::<Result<_, _>>()?))
    }

    fn components(&self) -> std::ops::Range<usize> {
        if self.is_gray() { 0..1 } else { 0..3 }
    }

    /// The first plane of component `n` that serves a window at `size`, or else the last.
    fn enough(&self, n: usize, window: &Window, size: Size) -> Result<&YuvPlane, Error> {
        let mut planes = self.planes.iter().filter(|plane| plane.component == n);
        let enough = planes.clone().find(|plane| has_enough(plane.max_density, window, size));
        let plane = enough.or_else(|| planes.next_back());
        plane.ok_or_else(|| damaged("a plane is missing"))
    }
}

impl YuvPlane {
    /// The picture's window in samples. It does not reach beyond the plane, whose last samples may stand for less than a
    /// whole one of the picture.
    fn window(&self, window: &Window) -> Window {
        let (across, down) = self.density;
        let (x, y) = ((window.x * across).max(0.0), (window.y * down).max(0.0));
        let width = (window.width * across).min(f64::from(self.samples.width) - x);
        let height = (window.height * down).min(f64::from(self.samples.height) - y);
        Window { x, y, width, height }
    }
}

impl Yuv420 {
    /// The same at the levels of `range`.
    pub(crate) fn into_range(mut self, range: Range) -> Self {
        if self.range != range {
            for (n, plane) in self.planes.iter_mut().enumerate() {
                let table = levels(range, n > 0);
                plane.data.iter_mut().for_each(|sample| *sample = table[usize::from(*sample)]);
            }
        }
        Self { range, ..self }
    }

    /// Full-range planes of gray or RGB pixels; each sample of chroma is the mean of the pixels it stands for.
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
            // The last of an odd number of rows stands for two.
            let below = if below.is_empty() { above } else { below };
            for (above, below) in above.chunks(6).zip(below.chunks(6)) {
                let sum = |channel: usize| {
                    let pair = |row: &[u8]| {
                        let right = row.get(channel + 3).unwrap_or(&row[channel]);
                        i32::from(row[channel]) + i32::from(*right)
                    };
                    pair(above) + pair(below)
                };
                let [blue, red] = differences([sum(0), sum(1), sum(2)]);
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

/// Each level's place in the other range, rounded and cut off.
fn levels(to: Range, is_chroma: bool) -> [u8; 256] {
    let (steps, below) = if is_chroma { (224, 128) } else { (219, 0) };
    std::array::from_fn(|level| {
        let level = i32::try_from(level).unwrap_or(0);
        let zero = if is_chroma { 128 } else { 16 };
        let moved = match to {
            Range::Limited => rounded((level - below) * steps, 255) + zero,
            Range::Full => rounded((level - zero) * 255, steps) + below,
        };
        u8::try_from(moved.clamp(0, 255)).unwrap_or(0)
    })
}

/// To nearest, halves away from zero.
fn rounded(numerator: i32, denominator: i32) -> i32 {
    (numerator + numerator.signum() * denominator / 2) / denominator
}

/// Luma of a pixel: 0.299, 0.587 and 0.114 in 16 bits of fraction.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    let sum = 19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + (1 << 15);
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

/// Differences of blue and red from the sums of four pixels: -0.168736, -0.331264, 0.5; 0.5, -0.418688, -0.081312.
fn differences([red, green, blue]: [i32; 3]) -> [u8; 2] {
    let sample = |sum: i32| u8::try_from(((sum + (1 << 17)) >> 18).saturating_add(128).clamp(0, 255)).unwrap_or(0);
    [sample(-11_059 * red - 21_709 * green + 32_768 * blue), sample(32_768 * red - 27_439 * green - 5_329 * blue)]
}

/// Gray or RGB of planes that have one size.
fn rgb(range: Range, mut planes: Vec<Pixels>) -> Pixels {
    if range == Range::Limited {
        planes = Yuv420 { range, planes }.into_range(Range::Full).planes;
    }
    let [luma, blue, red] = planes.as_slice() else {
        return planes.swap_remove(0);
    };
    let mut data = vec![0; 3 * luma.data.len()];
    let samples = luma.data.iter().zip(&blue.data).zip(&red.data);
    for (pixel, ((&luma, &blue), &red)) in data.as_chunks_mut::<3>().0.iter_mut().zip(samples) {
        let (luma, blue, red) = (f32::from(luma), f32::from(blue) - 128.0, f32::from(red) - 128.0);
        // The inverse of JFIF's matrix (ITU-T T.871 section 7).
        *pixel =
            [level(luma + 1.402 * red), level(luma - 0.344_136 * blue - 0.714_136 * red), level(luma + 1.772 * blue)];
    }
    Pixels { width: luma.width, height: luma.height, channels: 3, data }
}

/// Rounded and cut off: adding 2^23 leaves a small positive number rounded in the lowest bits.
#[inline(always)]
pub(crate) fn level(value: f32) -> u8 {
    let low = if value > 0.0 { value } else { 0.0 };
    let clamped = if low < 255.0 { low } else { 255.0 };
    (clamped + 8_388_608.0).to_bits().to_le_bytes()[0]
}
