//! Restart intervals (ITU-T T.81, section E.2.4).

use planes::Error;

use crate::marker::{self, find_marker};

/// A reader of entropy-coded data.
pub(super) trait EntropyReader: Copy {
    /// Checks that the data from `start` to the next marker has been read to its end.
    fn check_end(self, start: usize) -> Result<(), Error>;

    /// Continues after the restart marker `expected` (0 to 7), which must be the next marker.
    fn restart(&mut self, expected: u8) -> Result<(), Error>;

    /// Position of the next byte to read.
    fn position(&self) -> usize;
}

/// The position after the restart marker `expected`, which must be the next marker after `position`.
pub(super) fn after_restart_marker(data: &[u8], position: usize, expected: u8) -> Result<usize, Error> {
    let at = find_marker(data, position).ok_or(Error::Truncated)?;
    match data.get(at + 1) {
        Some(&code) if code == marker::RST0 + expected => Ok(at + 2),
        Some(&marker::EOI) => Err(Error::Truncated),
        _ => Err(Error::Damaged("missing restart marker")),
    }
}

/// Counts minimum coded units and consumes the restart marker after each interval.
#[derive(Debug)]
pub(super) struct RestartCounter {
    /// Units per interval. 0 means no restart markers.
    interval: usize,
    remaining: usize,
    /// Position of the data of the interval.
    start: usize,
    /// Number of the next marker, 0 to 7.
    next: u8,
}

impl RestartCounter {
    /// `start` is the position of the data of the scan.
    pub(super) fn new(interval: usize, start: usize) -> Self {
        Self { interval, remaining: interval, start, next: 0 }
    }

    /// Must be called before each unit. Returns true if a restart marker precedes the unit, which resets the DC
    /// predictions and the end-of-band run.
    #[inline(always)]
    pub(super) fn begin_unit(&mut self, reader: &mut impl EntropyReader) -> Result<bool, Error> {
        if self.interval == 0 {
            return Ok(false);
        }
        let is_due = self.remaining == 0;
        if is_due {
            self.finish(*reader)?;
            reader.restart(self.next)?;
            (self.remaining, self.start, self.next) = (self.interval, reader.position(), (self.next + 1) & 7);
        }
        self.remaining -= 1;
        Ok(is_due)
    }

    /// Checks that the data of the interval has been decoded to its end. Must be called after the last unit of a scan.
    pub(super) fn finish(&self, reader: impl EntropyReader) -> Result<(), Error> {
        reader.check_end(self.start)
    }
}
