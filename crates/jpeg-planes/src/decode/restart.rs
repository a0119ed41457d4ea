//! Restart intervals (ITU-T T.81, section E.2.4).

use planes::Error;

use crate::decode::bit_reader::BitReader;

/// Counts minimum coded units and consumes the restart marker after each interval.
#[derive(Debug)]
pub(super) struct RestartCounter {
    /// Units per interval. 0 means no restart markers.
    interval: usize,
    remaining: usize,
    /// Number of the next marker, 0 to 7.
    next: u8,
}

impl RestartCounter {
    pub(super) fn new(interval: usize) -> Self {
        Self { interval, remaining: interval, next: 0 }
    }

    /// Must be called before each unit. Returns true if a restart marker precedes the unit, which resets the DC
    /// predictions and the end-of-band run.
    #[inline(always)]
    pub(super) fn begin_unit(&mut self, bits: &mut BitReader<'_>) -> Result<bool, Error> {
        if self.interval == 0 {
            return Ok(false);
        }
        let is_due = self.remaining == 0;
        if is_due {
            bits.restart(self.next)?;
            (self.remaining, self.next) = (self.interval, (self.next + 1) & 7);
        }
        self.remaining -= 1;
        Ok(is_due)
    }
}
