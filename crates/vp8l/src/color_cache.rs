//! The color cache: recent colors, by a hash (RFC 9649, section 3.6.3).

use crate::Pixel;

/// Maximum number of bits of a hash.
pub(crate) const BITS_MAX: u32 = 11;

/// The multiplier of the hash.
const MULTIPLIER: u32 = 0x1E35_A7BD;

/// A color cache.
#[derive(Debug)]
pub(crate) struct ColorCache {
    colors: Box<[Pixel; 1 << BITS_MAX]>,
    shift: u32,
}

impl ColorCache {
    /// A cache of `2.pow(bits)` transparent black colors. `bits` is 1 to 11.
    pub(crate) fn new(bits: u32) -> Self {
        Self { colors: Box::new([[0; 4]; 1 << BITS_MAX]), shift: 32 - bits }
    }

    #[inline(always)]
    pub(crate) fn insert(&mut self, color: Pixel) {
        let [red, green, blue, alpha] = color;
        let hash = MULTIPLIER.wrapping_mul(u32::from_be_bytes([alpha, red, green, blue])) >> self.shift;
        self.colors[hash as usize % (1 << BITS_MAX)] = color;
    }

    #[inline(always)]
    pub(crate) fn get(&self, n: usize) -> Pixel {
        self.colors[n % (1 << BITS_MAX)]
    }
}
