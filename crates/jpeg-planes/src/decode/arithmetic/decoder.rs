//! The binary arithmetic decoder (ITU-T T.81, section D.2).

use planes::Error;

use super::states::{FIXED, STATES};
use crate::decode::restart::{EntropyReader, after_restart_marker};
use crate::marker::find_marker;

/// The adaptive probability of one kind of decision: the index of a state, and the more probable symbol in the highest
/// bit.
pub(super) type Context = u8;

/// Decodes binary decisions.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArithmeticDecoder<'a> {
    data: &'a [u8],
    position: usize,
    /// The code register. Its upper half is compared with the interval.
    code: u32,
    /// The size of the current interval, at least 0x8000 between two decisions.
    interval: u32,
    /// Shifts until the next byte is needed.
    shifts: u32,
    /// Number of zero bytes that were appended after the end of the data.
    appended: u32,
    /// Maximum of `appended`.
    appended_max: u32,
}

/// Maximum number of appended zero bytes in a scan of that many blocks, if all probabilities are adaptive.
///
/// Encoders omit zeros at the end of the data (section D.1.8). Each more probable symbol of a uniform area adds a
/// fraction of a zero bit, which falls to 1/32768 (the state of the smallest probability) while the contexts of the area
/// adapt.
pub(super) fn appended_max(blocks: usize) -> u32 {
    (6 + (blocks / 100).min(28) + blocks / 60_000) as u32
}

/// Maximum number of bytes that are not needed for the last decision.
const EXTRA_BYTES_MAX: usize = 2;

impl<'a> ArithmeticDecoder<'a> {
    pub(super) fn new(data: &'a [u8], position: usize, appended_max: u32) -> Self {
        let mut decoder = Self { data, position, code: 0, interval: 1 << 16, shifts: 0, appended: 0, appended_max };
        for _ in 0..2 {
            decoder.read_byte();
            decoder.code <<= 8;
        }
        decoder
    }

    /// Adds the next byte to the code register. Zeros follow the last byte.
    fn read_byte(&mut self) {
        let byte = match self.data.get(self.position..).unwrap_or_default() {
            [0xFF, 0, ..] => {
                self.position += 2;
                0xFF
            }
            [] | [0xFF, ..] => {
                self.appended = self.appended.saturating_add(1);
                0
            }
            [byte, ..] => {
                self.position += 1;
                *byte
            }
        };
        self.code += u32::from(byte) << 8;
    }

    /// Decodes a decision and adapts its probability.
    pub(super) fn decide(&mut self, context: &mut Context) -> bool {
        let (probability, after_less, after_more, exchange) =
            STATES[usize::from(*context & 0x7F).min(STATES.len() - 1)];
        let (probability, more_probable) = (u32::from(probability), *context >> 7);
        self.interval -= probability;
        let is_lower = self.code >> 16 < self.interval;
        if is_lower && self.interval >= 0x8000 {
            return more_probable == 1;
        }
        // The larger part of the interval belongs to the more probable symbol (conditional exchange).
        let is_more_probable = is_lower == (self.interval >= probability);
        if !is_lower {
            self.code -= self.interval << 16;
            self.interval = probability;
        }
        *context = if is_more_probable {
            after_more | more_probable << 7
        } else {
            after_less | (more_probable ^ exchange) << 7
        };
        while self.interval < 0x8000 {
            if self.shifts == 0 {
                self.read_byte();
                self.shifts = 8;
            }
            self.interval <<= 1;
            self.code <<= 1;
            self.shifts -= 1;
        }
        is_more_probable == (more_probable == 1)
    }

    /// Decodes a decision whose probability is one half.
    pub(super) fn decide_fixed(&mut self) -> bool {
        let mut context = FIXED;
        self.decide(&mut context)
    }

    /// True if more bytes were needed than the data contains.
    pub(super) fn has_overrun(&self) -> bool {
        self.appended > self.appended_max
    }
}

impl EntropyReader for ArithmeticDecoder<'_> {
    /// # Errors
    /// More bytes were needed than the data contains, or so many are left over that decisions must have been lost.
    fn check_end(self, _start: usize) -> Result<(), Error> {
        if self.has_overrun() {
            return Err(Error::Truncated);
        }
        let end = find_marker(self.data, self.position).ok_or(Error::Truncated)?;
        if end - self.position > EXTRA_BYTES_MAX {
            return Err(Error::Damaged("coded data after the last block"));
        }
        Ok(())
    }

    fn restart(&mut self, expected: u8) -> Result<(), Error> {
        let position = after_restart_marker(self.data, self.position, expected)?;
        *self = Self::new(self.data, position, self.appended_max);
        Ok(())
    }

    fn position(&self) -> usize {
        self.position
    }
}
