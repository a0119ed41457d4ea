//! Entropy-coded images (RFC 9649, section 3.7): literal pixels, copies of earlier pixels, and recent colors.

use planes::Error;

use crate::Pixel;
use crate::bit_reader::BitReader;
use crate::color_cache::{BITS_MAX, ColorCache};
use crate::options::Options;
use crate::prefix_groups::{PrefixGroup, PrefixGroups};

/// First symbol of green that is a length.
const LENGTHS_FROM: u16 = 256;
/// First symbol of green that is a recent color.
const COLORS_FROM: u16 = 256 + 24;

/// Number of pixels that are decoded between two calls of `should_continue`. Reading the tables of a group counts as many
/// pixels as take the same time.
const PIXELS_PER_CHECK: usize = 1 << 16;
const PIXELS_PER_GROUP: usize = 1 << 12;

/// Distances of nearby pixels, across and down, by their number in the stream (RFC 9649, section 3.6.2.2).
#[rustfmt::skip]
const NEARBY: [(i8, i8); 120] = [
    (0, 1),  (1, 0),  (1, 1),  (-1, 1), (0, 2),  (2, 0),  (1, 2),  (-1, 2),
    (2, 1),  (-2, 1), (2, 2),  (-2, 2), (0, 3),  (3, 0),  (1, 3),  (-1, 3),
    (3, 1),  (-3, 1), (2, 3),  (-2, 3), (3, 2),  (-3, 2), (0, 4),  (4, 0),
    (1, 4),  (-1, 4), (4, 1),  (-4, 1), (3, 3),  (-3, 3), (2, 4),  (-2, 4),
    (4, 2),  (-4, 2), (0, 5),  (3, 4),  (-3, 4), (4, 3),  (-4, 3), (5, 0),
    (1, 5),  (-1, 5), (5, 1),  (-5, 1), (2, 5),  (-2, 5), (5, 2),  (-5, 2),
    (4, 4),  (-4, 4), (3, 5),  (-3, 5), (5, 3),  (-5, 3), (0, 6),  (6, 0),
    (1, 6),  (-1, 6), (6, 1),  (-6, 1), (2, 6),  (-2, 6), (6, 2),  (-6, 2),
    (4, 5),  (-4, 5), (5, 4),  (-5, 4), (3, 6),  (-3, 6), (6, 3),  (-6, 3),
    (0, 7),  (7, 0),  (1, 7),  (-1, 7), (5, 5),  (-5, 5), (7, 1),  (-7, 1),
    (4, 6),  (-4, 6), (6, 4),  (-6, 4), (2, 7),  (-2, 7), (7, 2),  (-7, 2),
    (3, 7),  (-3, 7), (7, 3),  (-7, 3), (5, 6),  (-5, 6), (6, 5),  (-6, 5),
    (8, 0),  (4, 7),  (-4, 7), (7, 4),  (-7, 4), (8, 1),  (8, 2),  (6, 6),
    (-6, 6), (8, 3),  (5, 7),  (-5, 7), (7, 5),  (-7, 5), (8, 4),  (6, 7),
    (-6, 7), (7, 6),  (-7, 6), (8, 5),  (7, 7),  (-7, 7), (8, 6),  (8, 7),
];

/// The stream of an image and the caller's options.
#[derive(Debug)]
pub(crate) struct ImageReader<'a> {
    data: &'a [u8],
    pub(crate) bits: BitReader<'a>,
    options: Options<'a>,
}

impl<'a> ImageReader<'a> {
    pub(crate) fn new(data: &'a [u8], options: Options<'a>) -> Self {
        Self { data, bits: BitReader::new(data, 0), options }
    }

    /// Reads an image that belongs to a transform.
    ///
    /// # Errors
    /// The data is damaged or truncated, or the caller stopped the work.
    pub(crate) fn read_small(&mut self, width: usize, height: usize) -> Result<Vec<Pixel>, Error> {
        let cache_bits = self.read_cache_bits()?;
        let groups = PrefixGroups::read(&mut self.bits, self.data, cache_bits, [true].into_iter(), &self.options)?;
        let mut pixels = vec![[0; 4]; width * height];
        self.read_pixels(&mut pixels, width, cache_bits, Tiles::one(groups))?;
        Ok(pixels)
    }

    /// Reads the pixels of the main image, which may have a group of prefix codes for each tile.
    ///
    /// # Errors
    /// The data is damaged or truncated, or the caller stopped the work.
    pub(crate) fn read_main(&mut self, pixels: &mut [Pixel], width: usize) -> Result<(), Error> {
        let cache_bits = self.read_cache_bits()?;
        let tiles = self.read_tiles(width, pixels.len() / width, cache_bits)?;
        self.read_pixels(pixels, width, cache_bits, tiles)
    }

    fn read_cache_bits(&mut self) -> Result<Option<u32>, Error> {
        if self.bits.read(1) == 0 {
            return Ok(None);
        }
        let bits = self.bits.read(4);
        if (1..=BITS_MAX).contains(&bits) { Ok(Some(bits)) } else { Err(Error::Damaged("invalid color cache size")) }
    }

    fn read_tiles(&mut self, width: usize, height: usize, cache_bits: Option<u32>) -> Result<Tiles<'a>, Error> {
        if self.bits.read(1) == 0 {
            let groups = PrefixGroups::read(&mut self.bits, self.data, cache_bits, [true].into_iter(), &self.options)?;
            return Ok(Tiles::one(groups));
        }
        let size_bits = 2 + self.bits.read(3);
        let columns = width.div_ceil(1 << size_bits);
        let image = self.read_small(columns, height.div_ceil(1 << size_bits))?;
        let mut numbers: Vec<u16> = image.iter().map(|[red, green, ..]| u16::from_be_bytes([*red, *green])).collect();
        drop(image);
        let count = 1 + usize::from(numbers.iter().copied().max().unwrap_or(0));
        // Unused groups have no number any more.
        let mut renumbered = vec![None; count];
        numbers.iter().for_each(|n| renumbered[usize::from(*n)] = Some(0));
        let is_used: Vec<bool> = renumbered.iter().map(Option::is_some).collect();
        (0..=u16::MAX).zip(renumbered.iter_mut().flatten()).for_each(|(number, n)| *n = number);
        numbers.iter_mut().for_each(|n| *n = renumbered[usize::from(*n)].unwrap_or(0));
        let is_used = is_used.iter().copied();
        let groups = PrefixGroups::read(&mut self.bits, self.data, cache_bits, is_used, &self.options)?;
        Ok(Tiles { groups, size_bits, columns, numbers })
    }

    fn read_pixels(
        &mut self,
        pixels: &mut [Pixel],
        width: usize,
        cache_bits: Option<u32>,
        mut tiles: Tiles<'_>,
    ) -> Result<(), Error> {
        let mut cache = cache_bits.map(ColorCache::new);
        let mut pixel_decoder = PixelDecoder { bits: self.bits.clone(), pixels, width, at: 0 };
        let mut until_check = 0_usize;
        while pixel_decoder.at < pixel_decoder.pixels.len() {
            let begin = pixel_decoder.at;
            let (number, end) = tiles.at(begin, width, pixel_decoder.pixels.len());
            let was_read = tiles.groups.prepare(number)?;
            let group = tiles.groups.get(number).ok_or(Error::Damaged("no such prefix code"))?;
            match &mut cache {
                Some(cache) => pixel_decoder.decode(&group, end, cache)?,
                None => pixel_decoder.decode(&group, end, &mut NoCache)?,
            }
            let work = pixel_decoder.at - begin + if was_read { PIXELS_PER_GROUP } else { 0 };
            until_check = match until_check.checked_sub(work) {
                Some(rest) => rest,
                None => {
                    pixel_decoder.bits.check_truncated()?;
                    if !(self.options.should_continue)() {
                        return Err(Error::Cancelled);
                    }
                    PIXELS_PER_CHECK
                }
            };
        }
        self.bits = pixel_decoder.bits;
        self.bits.check_truncated()
    }
}

/// The tiles of an image, each with the number of its group of prefix codes.
#[derive(Debug)]
struct Tiles<'a> {
    groups: PrefixGroups<'a>,
    /// Logarithm of the side of a tile; 32 if there is only one.
    size_bits: u32,
    columns: usize,
    numbers: Vec<u16>,
}

impl<'a> Tiles<'a> {
    /// A single tile.
    fn one(groups: PrefixGroups<'a>) -> Self {
        Self { groups, size_bits: 32, columns: 1, numbers: Vec::new() }
    }

    /// The group of the pixel `at`, and the end of the pixels of its tile in its row.
    fn at(&self, at: usize, width: usize, length: usize) -> (usize, usize) {
        if self.numbers.is_empty() {
            return (0, length);
        }
        let (x, y) = (at % width, at / width);
        let tile = (y >> self.size_bits) * self.columns + (x >> self.size_bits);
        let end = (((x >> self.size_bits) + 1) << self.size_bits).min(width);
        (self.numbers.get(tile).copied().unwrap_or(0).into(), at + end - x)
    }
}

/// A color cache, or its absence.
trait Cache {
    fn insert(&mut self, color: Pixel);
    fn get(&self, n: usize) -> Pixel;
    const EXISTS: bool;
}

impl Cache for ColorCache {
    #[inline(always)]
    fn insert(&mut self, color: Pixel) {
        self.insert(color);
    }

    #[inline(always)]
    fn get(&self, n: usize) -> Pixel {
        self.get(n)
    }

    const EXISTS: bool = true;
}

/// Without a color cache, the code of green has no symbols for it.
struct NoCache;

impl Cache for NoCache {
    fn insert(&mut self, _: Pixel) {}

    fn get(&self, _: usize) -> Pixel {
        [0; 4]
    }

    const EXISTS: bool = false;
}

struct PixelDecoder<'a, 'p> {
    bits: BitReader<'a>,
    pixels: &'p mut [Pixel],
    width: usize,
    /// The next pixel.
    at: usize,
}

impl PixelDecoder<'_, '_> {
    /// Decodes pixels up to `end`. A copy may extend beyond it.
    #[inline(always)]
    fn decode<C: Cache>(&mut self, group: &PrefixGroup<'_>, end: usize, cache: &mut C) -> Result<(), Error> {
        if let (Some([red, _, blue, alpha]), Some(green @ 0..LENGTHS_FROM)) = (group.constant, group.green.single()) {
            // All pixels are equal and take no bits.
            let color = [red, green as u8, blue, alpha];
            self.pixels[self.at..end].fill(color);
            cache.insert(color);
            self.at = end;
            return Ok(());
        }
        while self.at < end {
            self.bits.fill();
            let symbol = group.green.read(&mut self.bits);
            if symbol < LENGTHS_FROM {
                let color = self.read_color(group, symbol as u8);
                self.pixels[self.at] = color;
                cache.insert(color);
                self.at += 1;
            } else if symbol < COLORS_FROM {
                self.copy(group, symbol - LENGTHS_FROM, cache)?;
            } else {
                let color = cache.get(usize::from(symbol - COLORS_FROM));
                self.pixels[self.at] = color;
                cache.insert(color);
                self.at += 1;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn read_color(&mut self, group: &PrefixGroup<'_>, green: u8) -> Pixel {
        if let Some([red, _, blue, alpha]) = group.constant {
            return [red, green, blue, alpha];
        }
        let red = group.red.read(&mut self.bits);
        let blue = group.blue.read(&mut self.bits);
        self.bits.ensure(15);
        let alpha = group.alpha.read(&mut self.bits);
        [red as u8, green, blue as u8, alpha as u8]
    }

    /// Copies earlier pixels.
    #[inline(always)]
    fn copy<C: Cache>(&mut self, group: &PrefixGroup<'_>, symbol: u16, cache: &mut C) -> Result<(), Error> {
        let length = self.read_number(symbol);
        let symbol = group.distance.read(&mut self.bits);
        self.bits.ensure(18);
        let distance = self.read_number(symbol);
        let distance = match NEARBY.get(distance - 1) {
            Some((across, down)) => (isize::from(*across) + isize::from(*down) * self.width as isize).max(1) as usize,
            None => distance - NEARBY.len(),
        };
        let (before, after) = self.pixels.split_at_mut(self.at);
        let (Some(begin), Some(target)) = (before.len().checked_sub(distance), after.get_mut(..length)) else {
            return Err(Error::Damaged("a copy beyond the image"));
        };
        let source = &before[begin..];
        if length <= distance {
            target.iter_mut().zip(source).for_each(|(to, from)| *to = *from);
        } else if distance == 1 {
            target.fill(source[0]);
        } else {
            // The source and the target overlap, so the source repeats.
            let (first, rest) = target.split_at_mut(distance);
            first.copy_from_slice(source);
            rest.chunks_mut(distance).for_each(|part| part.copy_from_slice(&source[..part.len()]));
        }
        if C::EXISTS && distance > 1 {
            target.iter().for_each(|color| cache.insert(*color));
        }
        self.at += length;
        Ok(())
    }

    /// Reads the extra bits of a length or distance (RFC 9649, section 3.6.2.2), of which there are up to 18.
    #[inline(always)]
    fn read_number(&mut self, symbol: u16) -> usize {
        if symbol < 4 {
            return usize::from(symbol) + 1;
        }
        let extra = u32::from(symbol - 2) >> 1;
        let offset = (2 + (usize::from(symbol) & 1)) << extra;
        offset + self.bits.take(extra) as usize + 1
    }
}
