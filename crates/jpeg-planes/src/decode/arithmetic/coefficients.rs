//! Statistical models of the coefficients (ITU-T T.81, sections F.1.4 and G.1.3).

use planes::Error;

use super::decoder::{ArithmeticDecoder, Context};

/// A decision that leads to a value or position that does not exist.
pub(super) const INVALID_DECISION: Error = Error::Damaged("invalid arithmetic code");

/// Bounds of the conditioning categories (section F.1.4.4.1.2, DAC segments).
#[derive(Debug, Clone, Copy)]
pub(in crate::decode) struct Conditioning {
    /// L: differences of DC coefficients below `2^L / 2` count as zero.
    pub(in crate::decode) dc_low: u8,
    /// U: differences of DC coefficients above `2^U / 2` count as large.
    pub(in crate::decode) dc_high: u8,
    /// Kx: zigzag index of the last low-frequency coefficient.
    pub(in crate::decode) ac_low: u8,
}

impl Default for Conditioning {
    /// The values that apply without a DAC segment (section F.1.4.4.1.4 and F.1.4.4.2.1).
    fn default() -> Self {
        Self { dc_low: 0, dc_high: 1, ac_low: 5 }
    }
}

/// The statistics of one DC table (table F.4).
#[derive(Debug, Clone)]
pub(super) struct DcStatistics([Context; 64]);

/// First bin of the magnitude categories (X1), and the distance from a category to the bin of its magnitude bits.
const DC_CATEGORIES: usize = 20;
const MAGNITUDE_BITS: usize = 14;

/// The statistics of one AC table (table F.5).
#[derive(Debug, Clone)]
pub(super) struct AcStatistics([Context; 256]);

/// First bins of the magnitude categories (X2) of low and of high frequencies.
const AC_CATEGORIES_LOW: usize = 189;
const AC_CATEGORIES_HIGH: usize = 217;

/// The DC prediction of a component.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Prediction {
    /// DC value of the preceding block.
    pub(super) value: i32,
    /// First bin for the difference: 0, 4, 8, 12 or 16, by the category of the preceding difference.
    context: usize,
}

impl DcStatistics {
    pub(super) const NEW: Self = Self([0; 64]);

    /// Decodes a DC difference and adds it to the prediction.
    pub(super) fn decode(
        &mut self,
        decoder: &mut ArithmeticDecoder<'_>,
        prediction: &mut Prediction,
        conditioning: Conditioning,
    ) -> Result<(), Error> {
        let bins = &mut self.0;
        let first = prediction.context;
        if !decoder.decide(&mut bins[first]) {
            prediction.context = 0;
            return Ok(());
        }
        let is_negative = decoder.decide(&mut bins[first + 1]);
        let mut bin = first + 2 + usize::from(is_negative);
        // The power of two below the magnitude minus one.
        let mut power = i32::from(decoder.decide(&mut bins[bin]));
        if power != 0 {
            bin = DC_CATEGORIES;
            power = category(decoder, bins, &mut bin, power)?;
        }
        let sign = usize::from(is_negative);
        prediction.context = if power < (1 << conditioning.dc_low) >> 1 {
            0
        } else if power > (1 << conditioning.dc_high) >> 1 {
            12 + 4 * sign
        } else {
            4 + 4 * sign
        };
        let magnitude = magnitude(decoder, bins, bin, power);
        prediction.value = prediction.value.wrapping_add(if is_negative { -magnitude } else { magnitude });
        Ok(())
    }
}

impl AcStatistics {
    pub(super) const NEW: Self = Self([0; 256]);

    /// Decodes the first scan of the coefficients `first` to `last` of a block. Passes each nonzero value to `store`.
    pub(super) fn decode(
        &mut self,
        decoder: &mut ArithmeticDecoder<'_>,
        (first, last): (u32, u32),
        conditioning: Conditioning,
        mut store: impl FnMut(u32, i32),
    ) -> Result<(), Error> {
        let mut k = first;
        while k <= last && !self.is_end_of_block(decoder, k) {
            while !decoder.decide(self.is_nonzero(k)) {
                k += 1;
                if k > last {
                    return Err(INVALID_DECISION);
                }
            }
            let is_negative = decoder.decide_fixed();
            let mut bin = 3 * (k as usize - 1) + 2;
            let bins = &mut self.0;
            let mut power = i32::from(decoder.decide(&mut bins[bin]));
            if power != 0 && decoder.decide(&mut bins[bin]) {
                bin = if k <= u32::from(conditioning.ac_low) { AC_CATEGORIES_LOW } else { AC_CATEGORIES_HIGH };
                power = category(decoder, bins, &mut bin, 2)?;
            }
            let magnitude = magnitude(decoder, bins, bin, power);
            store(k, if is_negative { -magnitude } else { magnitude });
            k += 1;
        }
        Ok(())
    }

    /// Decodes the decision that the coefficients from `k` on are zero.
    pub(super) fn is_end_of_block(&mut self, decoder: &mut ArithmeticDecoder<'_>, k: u32) -> bool {
        decoder.decide(&mut self.0[3 * (k as usize - 1)])
    }

    /// The bin for the decision that coefficient `k` is not zero.
    pub(super) fn is_nonzero(&mut self, k: u32) -> &mut Context {
        &mut self.0[3 * (k as usize - 1) + 1]
    }

    /// The bin for the correction bit of coefficient `k` (section G.1.3.3).
    pub(super) fn correction(&mut self, k: u32) -> &mut Context {
        &mut self.0[3 * (k as usize - 1) + 2]
    }
}

/// Decodes a magnitude category, the power of two below the magnitude minus one. Leaves `bin` at the last category.
fn category(
    decoder: &mut ArithmeticDecoder<'_>,
    bins: &mut [Context],
    bin: &mut usize,
    mut power: i32,
) -> Result<i32, Error> {
    while decoder.decide(&mut bins[*bin]) {
        power <<= 1;
        if power == 1 << 15 {
            return Err(INVALID_DECISION);
        }
        *bin += 1;
    }
    Ok(power)
}

/// Decodes the magnitude bits below `power`.
fn magnitude(decoder: &mut ArithmeticDecoder<'_>, bins: &mut [Context], category: usize, power: i32) -> i32 {
    let mut magnitude = power;
    let mut bit = power >> 1;
    while bit != 0 {
        if decoder.decide(&mut bins[category + MAGNITUDE_BITS]) {
            magnitude |= bit;
        }
        bit >>= 1;
    }
    magnitude + 1
}
