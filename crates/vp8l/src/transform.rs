//! The transforms of an image (RFC 9649, section 3.5), and their inverses.
//!
//! The inverses run over the image together, row by row, while a row is in the cache. The predictor needs the row above
//! before the later inverses change it, so these follow one row behind.

use planes::Error;

use crate::Pixel;
use crate::entropy_image::ImageReader;
use crate::options::Options;

mod color;
mod palette;
mod predictor;

use color::ColorTransform;
use palette::Palette;
use predictor::Predictor;

/// Number of pixels that are transformed between two calls of `should_continue`.
const PIXELS_PER_CHECK: usize = 1 << 18;

/// The transforms of an image in the order of the stream.
#[derive(Debug, Default)]
pub(crate) struct Transforms(Vec<Transform>);

#[derive(Debug)]
enum Transform {
    Predictor(Predictor),
    Color(ColorTransform),
    SubtractGreen,
    Palette(Palette),
}

/// An image with one value per square of `1 << size_bits` pixels.
#[derive(Debug)]
struct BlockImage {
    size_bits: u32,
    columns: usize,
    values: Vec<Pixel>,
}

impl BlockImage {
    fn read(reader: &mut ImageReader<'_>, width: usize, height: usize) -> Result<Self, Error> {
        let size_bits = 2 + reader.bits.read(3);
        let columns = width.div_ceil(1 << size_bits);
        let values = reader.read_small(columns, height.div_ceil(1 << size_bits))?;
        Ok(Self { size_bits, columns, values })
    }

    /// The values of the blocks that row `y` crosses.
    fn row(&self, y: usize) -> &[Pixel] {
        self.values.get((y >> self.size_bits) * self.columns..).unwrap_or_default()
    }

    /// Number of columns or rows of a block.
    fn side(&self) -> usize {
        1 << self.size_bits
    }
}

impl Transforms {
    /// Reads the transforms. Also returns the width of the image that follows, in which a pixel may stand for several.
    ///
    /// # Errors
    /// A transform is damaged, truncated, or occurs twice, or the caller stopped the work.
    pub(crate) fn read(reader: &mut ImageReader<'_>, width: usize, height: usize) -> Result<(Self, usize), Error> {
        let (mut transforms, mut kinds, mut coded_width) = (Vec::new(), [false; 4], width);
        while reader.bits.read(1) == 1 {
            let kind = reader.bits.read(2) as usize;
            if std::mem::replace(&mut kinds[kind], true) {
                return Err(Error::Damaged("a transform occurs twice"));
            }
            transforms.push(match kind {
                0 => Transform::Predictor(Predictor(BlockImage::read(reader, coded_width, height)?)),
                1 => Transform::Color(ColorTransform(BlockImage::read(reader, coded_width, height)?)),
                2 => Transform::SubtractGreen,
                _ => {
                    let palette = Palette::read(reader)?;
                    coded_width = palette.packed_width(coded_width);
                    Transform::Palette(palette)
                }
            });
        }
        Ok((Self(transforms), coded_width))
    }

    /// Inverts the transforms. The coded image is at the end of `pixels`, which become the image of `width`.
    ///
    /// # Errors
    /// The caller stopped the work.
    pub(crate) fn invert(
        &self,
        pixels: &mut [Pixel],
        (width, coded_width): (usize, usize),
        options: &Options<'_>,
    ) -> Result<(), Error> {
        let is_palette = |transform: &Transform| matches!(transform, Transform::Palette(_));
        let at = self.0.iter().position(is_palette).unwrap_or(0);
        let (before, after) = self.0.split_at(at);
        let coded_from = pixels.len() - pixels.len() / width * coded_width;
        match after.split_first() {
            Some((Transform::Palette(palette), after)) => {
                invert_rows(after, &mut pixels[coded_from..], coded_width, options)?;
                palette.invert(pixels, (width, coded_width));
                invert_rows(before, pixels, width, options)
            }
            _ => invert_rows(after, pixels, width, options),
        }
    }
}

/// Inverts transforms other than a palette, from the last to the first.
fn invert_rows(
    transforms: &[Transform],
    pixels: &mut [Pixel],
    width: usize,
    options: &Options<'_>,
) -> Result<(), Error> {
    let predictor = transforms.iter().enumerate().find_map(|(n, transform)| match transform {
        Transform::Predictor(predictor) => Some((n, predictor)),
        _ => None,
    });
    let (rest, first) = match predictor {
        Some((n, _)) => (&transforms[..n], &transforms[n + 1..]),
        None => (&[][..], transforms),
    };
    let height = pixels.len() / width;
    let rows_per_check = (PIXELS_PER_CHECK / width).max(1);
    let row = |y: usize| y * width..(y + 1) * width;
    for y in 0..height {
        if y % rows_per_check == 0 && !(options.should_continue)() {
            return Err(Error::Cancelled);
        }
        invert_row(first, &mut pixels[row(y)], y);
        if let Some((_, predictor)) = predictor {
            predictor.invert_row(pixels, width, y);
            if y > 0 {
                invert_row(rest, &mut pixels[row(y - 1)], y - 1);
            }
        }
    }
    if height > 0 {
        invert_row(rest, &mut pixels[row(height - 1)], height - 1);
    }
    Ok(())
}

/// Inverts transforms that need only the row itself.
fn invert_row(transforms: &[Transform], row: &mut [Pixel], y: usize) {
    for transform in transforms.iter().rev() {
        match transform {
            Transform::Color(color) => color.invert_row(row, y),
            Transform::SubtractGreen => color::add_green(row),
            Transform::Predictor(_) | Transform::Palette(_) => {}
        }
    }
}
