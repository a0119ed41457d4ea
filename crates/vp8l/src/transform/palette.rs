//! The color indexing transform (RFC 9649, section 4.4): a palette. With few colors, a pixel of the coded image contains
//! the indices of up to eight pixels of a row.

use planes::Error;

use crate::Pixel;
use crate::entropy_image::ImageReader;

#[derive(Debug)]
pub(super) struct Palette {
    /// Indices beyond the palette are transparent black.
    colors: Box<[Pixel; 256]>,
    /// Logarithm of the number of indices per pixel of the coded image.
    packing: u32,
}

impl Palette {
    pub(super) fn read(reader: &mut ImageReader<'_>) -> Result<Self, Error> {
        let count = 1 + reader.bits.read(8) as usize;
        let differences = reader.read_small(count, 1)?;
        let mut colors = Box::new([[0; 4]; 256]);
        let mut last = [0_u8; 4];
        for (color, difference) in colors.iter_mut().zip(&differences) {
            last.iter_mut().zip(difference).for_each(|(last, difference)| *last = last.wrapping_add(*difference));
            *color = last;
        }
        let packing = match count {
            0..=2 => 3,
            3..=4 => 2,
            5..=16 => 1,
            _ => 0,
        };
        Ok(Self { colors, packing })
    }

    /// Width of the coded image for an image of `width`.
    pub(super) fn packed_width(&self, width: usize) -> usize {
        width.div_ceil(1 << self.packing)
    }

    /// Replaces indices by colors. The indices are at the end of `pixels`, so that no row overwrites a later one.
    pub(super) fn invert(&self, pixels: &mut [Pixel], widths: (usize, usize)) {
        match self.packing {
            0 => pixels.iter_mut().for_each(|pixel| *pixel = self.colors[usize::from(pixel[1])]),
            1 => self.unpack::<2>(pixels, widths),
            2 => self.unpack::<4>(pixels, widths),
            _ => self.unpack::<8>(pixels, widths),
        }
    }

    fn unpack<const COUNT: usize>(&self, pixels: &mut [Pixel], (width, packed_width): (usize, usize)) {
        let bits = 8 / COUNT;
        let unpacked: Vec<[Pixel; COUNT]> = (0..=u8::MAX)
            .map(|packed| std::array::from_fn(|n| self.colors[usize::from(packed) >> (n * bits) & ((1 << bits) - 1)]))
            .collect();
        let height = pixels.len() / width;
        let packed_from = pixels.len() - height * packed_width;
        let mut packed = Vec::with_capacity(packed_width);
        for y in 0..height {
            let from = packed_from + y * packed_width;
            packed.clear();
            packed.extend(pixels[from..from + packed_width].iter().map(|pixel| pixel[1]));
            let (whole, rest) = pixels[y * width..(y + 1) * width].as_chunks_mut::<COUNT>();
            for (to, packed) in whole.iter_mut().zip(&packed) {
                *to = unpacked[usize::from(*packed)];
            }
            if let Some(last) = packed.get(whole.len()) {
                rest.iter_mut().zip(unpacked[usize::from(*last)]).for_each(|(to, color)| *to = color);
            }
        }
    }
}
