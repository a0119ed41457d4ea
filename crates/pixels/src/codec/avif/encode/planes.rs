//! Converts pixels to the planes of an AV1 frame: full-range BT.601 (ITU-T T.871, section 7), with 8 or 10 bits.

use crate::encoding::AvifDepth;
use crate::pixels::{Pixels, Sample};
use crate::yuv_image::{ChromaSubsampling, YuvSamples};

/// The color planes, and the alpha plane if the pixels have one.
pub(super) struct Planes {
    pub(super) color: Vec<YuvSamples>,
    pub(super) alpha: Option<YuvSamples>,
}

impl Planes {
    /// Converts gray or RGB pixels, with or without alpha. Chroma in 4:2:0 is the mean of a square of four pixels.
    pub(super) fn new<S: Sample>(pixels: &Pixels<S>, depth: AvifDepth, sampling: ChromaSubsampling) -> Self {
        match depth {
            AvifDepth::Eight => convert(pixels, sampling, &Eight, YuvSamples::U8),
            AvifDepth::Ten => convert(pixels, sampling, &Ten::from_white(S::WHITE.into()), YuvSamples::U16),
        }
    }
}

/// Conversion of colors to samples of a plane.
trait Matrix<S> {
    type Sample;

    /// A sample of luma from gray, or of alpha.
    fn gray(&self, gray: S) -> Self::Sample;

    fn luma(&self, color: [S; 3]) -> Self::Sample;

    /// Cb and Cr of the mean of `count` colors, whose sum is given.
    fn chroma(&self, sum: [u32; 3], count: u8) -> [Self::Sample; 2];
}

fn convert<S: Sample, M: Matrix<S>>(
    pixels: &Pixels<S>,
    sampling: ChromaSubsampling,
    matrix: &M,
    plane: impl Fn(Vec<M::Sample>) -> YuvSamples,
) -> Planes {
    let channels = usize::from(pixels.channels);
    let all = pixels.data.chunks_exact(channels);
    let has_alpha = matches!(channels, 2 | 4);
    let alpha = has_alpha.then(|| plane(all.clone().map(|pixel| matrix.gray(pixel[channels - 1])).collect()));
    if channels <= 2 {
        return Planes { color: vec![plane(all.map(|pixel| matrix.gray(pixel[0])).collect())], alpha };
    }
    let luma = all.map(|pixel| matrix.luma([pixel[0], pixel[1], pixel[2]])).collect();
    // The side of the square of pixels that share a chroma sample. Only a part exists at the right and bottom edges.
    let side = if sampling == ChromaSubsampling::Cs444 { 1 } else { 2 };
    let row = pixels.width as usize * channels;
    let (columns, rows) = ((pixels.width as usize).div_ceil(side), (pixels.height as usize).div_ceil(side));
    let [mut blue, mut red] = [0; 2].map(|_| Vec::with_capacity(columns * rows));
    for rows in pixels.data.chunks(side * row) {
        for x in (0..row).step_by(side * channels) {
            let columns = x..row.min(x + side * channels);
            let square = rows.chunks_exact(row).flat_map(|row| row[columns.clone()].chunks_exact(channels));
            let (sum, count) = square.fold(([0; 3], 0), |(sum, count), pixel| {
                let add = |n: usize| -> u32 { sum[n] + Into::<u32>::into(pixel[n]) };
                ([add(0), add(1), add(2)], count + 1)
            });
            let [b, r] = matrix.chroma(sum, count);
            blue.push(b);
            red.push(r);
        }
    }
    Planes { color: [luma, blue, red].map(plane).into(), alpha }
}

/// Samples of 8 bits from samples of 8 bits or more, in fixed point with 16 fractional bits.
struct Eight;

impl<S: Sample> Matrix<S> for Eight {
    type Sample = u8;

    fn gray(&self, gray: S) -> u8 {
        gray.to_u8()
    }

    fn luma(&self, color: [S; 3]) -> u8 {
        let [r, g, b] = color.map(|sample| i32::from(sample.to_u8()));
        byte(19_595 * r + 38_470 * g + 7_471 * b)
    }

    fn chroma(&self, sum: [u32; 3], count: u8) -> [u8; 2] {
        let count = u32::from(count) * (Into::<u32>::into(S::WHITE) / 255);
        let [r, g, b] = sum.map(|sum| i32::try_from((sum + count / 2) / count).unwrap_or(0));
        [
            byte(-11_059 * r - 21_709 * g + 32_768 * b + (128 << 16)),
            byte(32_768 * r - 27_439 * g - 5_329 * b + (128 << 16)),
        ]
    }
}

fn byte(sum: i32) -> u8 {
    u8::try_from(((sum + (1 << 15)) >> 16).clamp(0, 255)).unwrap_or(0)
}

/// Samples of 10 bits.
struct Ten {
    /// The factor from samples of the pixels.
    scale: f32,
}

/// The largest sample of 10 bits.
const TEN_MAX: f32 = 1023.0;

impl Ten {
    fn from_white(white: f32) -> Self {
        Self { scale: TEN_MAX / white }
    }
}

impl<S: Sample> Matrix<S> for Ten {
    type Sample = u16;

    fn gray(&self, gray: S) -> u16 {
        ten_bits(self.scale * Into::<f32>::into(gray))
    }

    fn luma(&self, color: [S; 3]) -> u16 {
        let [r, g, b]: [f32; 3] = color.map(Into::into);
        ten_bits(self.scale * (0.299 * r + 0.587 * g + 0.114 * b))
    }

    #[expect(clippy::cast_precision_loss, reason = "at most four times 65,535")]
    fn chroma(&self, sum: [u32; 3], count: u8) -> [u16; 2] {
        let [r, g, b] = sum.map(|sum| sum as f32 * self.scale / f32::from(count));
        [
            ten_bits(512.0 - 0.168_736 * r - 0.331_264 * g + 0.5 * b),
            ten_bits(512.0 + 0.5 * r - 0.418_688 * g - 0.081_312 * b),
        ]
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1023")]
fn ten_bits(value: f32) -> u16 {
    (value.clamp(0.0, TEN_MAX) + 0.5) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes<S: Sample>(width: u32, channels: u8, data: Vec<S>, depth: AvifDepth, full: bool) -> Vec<YuvSamples> {
        let height = u32::try_from(data.len()).unwrap() / u32::from(channels) / width;
        let sampling = if full { ChromaSubsampling::Cs444 } else { ChromaSubsampling::Cs420 };
        let Planes { mut color, alpha } = Planes::new(&Pixels { width, height, channels, data }, depth, sampling);
        color.extend(alpha);
        color
    }

    #[test]
    fn primary_colors_have_the_chroma_of_the_matrix() {
        let colors = vec![255_u8, 0, 0, 0, 255, 0, 0, 0, 255];
        let [luma, blue, red] = [vec![76, 150, 29], vec![85, 44, 255], vec![255, 21, 107]].map(YuvSamples::U8);
        assert_eq!(planes(3, 3, colors.clone(), AvifDepth::Eight, true), [luma, blue, red]);
        let ten = [vec![306, 601, 117], vec![339, 173, 1023], vec![1023, 84, 429]].map(YuvSamples::U16);
        assert_eq!(planes(3, 3, colors.clone(), AvifDepth::Ten, true), ten);
        let deep: Vec<u16> = colors.iter().map(|sample| u16::from(*sample) * 257).collect();
        assert_eq!(planes(3, 3, deep, AvifDepth::Ten, true), ten);
    }

    #[test]
    fn chroma_of_odd_sizes_is_the_mean_of_the_pixels_that_exist() {
        let pixels = [[255_u8, 0, 0], [255, 255, 255], [0, 0, 255]].concat().repeat(3);
        let made = planes(3, 3, pixels, AvifDepth::Eight, false);
        // Half red and half white is (255, 128, 128).
        assert_eq!(made[1], YuvSamples::U8([107, 255].repeat(2)));
        assert_eq!(made[2], YuvSamples::U8([192, 107].repeat(2)));
    }

    #[test]
    fn gray_and_alpha_of_16_bits_keep_10() {
        let data: Vec<u16> = (0..1024).flat_map(|n| [n * 64 + n / 16, u16::MAX - n]).collect();
        let made = planes(32, 2, data, AvifDepth::Ten, false);
        assert_eq!(made[0], YuvSamples::U16((0..1024).collect()));
        assert_eq!(made.len(), 2);
    }
}
