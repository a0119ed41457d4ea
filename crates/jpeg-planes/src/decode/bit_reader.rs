//! The bits of entropy-coded data, most significant first, with stuffing taken out (ITU-T T.81, section F.2.2.5).

use crate::error::Error;

/// A reservoir of up to 63 bits over the bytes of a scan.
///
/// Small and `Copy`, and the rare way of filling it goes by value: so it stays in registers in the loops that decode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits<'a> {
    data: &'a [u8],
    position: usize,
    /// The next bits, from the top. Below the first `count` there may be bits of the byte at `position`, or zeros.
    reservoir: u64,
    count: u32,
    /// Zeros put in after the last byte; once they are being used, the data have been cut short.
    padding: u32,
}

/// After [`Bits::refill`] at least so many bits may be taken.
pub(crate) const REFILLED: u32 = 56;

impl<'a> Bits<'a> {
    pub(crate) fn new(data: &'a [u8], position: usize) -> Self {
        Self { data, position, reservoir: 0, count: 0, padding: 0 }
    }

    /// Makes at least [`REFILLED`] bits available; behind the last byte they are zeros.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if let Some(bytes) = self.data.get(self.position..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_be_bytes(*bytes);
            // No byte is 0xFF, so none is stuffing and none begins a marker.
            if word & (!word).wrapping_sub(0x0101_0101_0101_0101) & 0x8080_8080_8080_8080 == 0 {
                self.reservoir |= word >> self.count;
                let whole_bytes = (63 - self.count) >> 3;
                self.position += whole_bytes as usize;
                self.count += whole_bytes * 8;
                return;
            }
        }
        *self = self.refilled_bytewise();
    }

    #[cold]
    #[inline(never)]
    fn refilled_bytewise(mut self) -> Self {
        while self.count < REFILLED {
            let shift = 56 - self.count;
            match self.data.get(self.position..).unwrap_or_default() {
                [0xFF, 0, ..] => {
                    self.reservoir |= 0xFF << shift;
                    self.position += 2;
                }
                [] | [0xFF, ..] => self.padding += 8,
                [byte, ..] => {
                    self.reservoir |= u64::from(*byte) << shift;
                    self.position += 1;
                }
            }
            self.count += 8;
        }
        self
    }

    /// The next `n` bits, 1 to 32 of them, without taking them.
    #[inline(always)]
    pub(crate) fn peek(&self, n: u32) -> usize {
        (self.reservoir >> (64 - n)) as usize
    }

    #[inline(always)]
    pub(crate) fn consume(&mut self, n: u32) {
        self.reservoir <<= n;
        self.count -= n;
    }

    /// Takes `n` bits, 0 to 16 of them.
    #[inline(always)]
    pub(crate) fn take(&mut self, n: u32) -> u32 {
        let value = ((self.reservoir >> 1) >> (63 - n)) as u32;
        self.consume(n);
        value
    }

    /// Refills, and takes one bit.
    #[inline(always)]
    pub(crate) fn bit(&mut self) -> bool {
        if self.count == 0 {
            self.refill();
        }
        self.take(1) == 1
    }

    /// Takes `n` bits, any number of them, and forgets them.
    #[inline(always)]
    pub(crate) fn skip(&mut self, mut n: u32) {
        while n > 0 {
            self.refill();
            let some = n.min(REFILLED);
            self.consume(some);
            n -= some;
        }
    }

    /// Whether bits have been taken that were not there.
    #[inline(always)]
    pub(crate) fn overrun(&self) -> bool {
        self.padding > self.count
    }

    /// Goes on behind the restart marker `expected` (0 to 7), which must come next.
    ///
    /// # Errors
    /// Another marker comes, or none.
    pub(crate) fn restart(&mut self, expected: u8) -> Result<(), Error> {
        if self.overrun() {
            return Err(Error::Truncated);
        }
        // What is in the reservoir lies before the marker: no byte behind one is ever read.
        let marker = marker_from(self.data, self.position).ok_or(Error::Truncated)?;
        match self.data.get(marker + 1) {
            Some(&code) if code == 0xD0 + expected => {
                *self = Self::new(self.data, marker + 2);
                Ok(())
            }
            Some(0xD9) => Err(Error::Truncated),
            _ => Err(Error::Damaged("a restart marker is missing")),
        }
    }

    /// Where the next bytes are looked for.
    pub(crate) fn position(&self) -> usize {
        self.position
    }
}

/// The position of the next marker at or behind `from`: 0xFF and a byte that is neither stuffing nor fill.
pub(crate) fn marker_from(data: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        position += first_ff(data.get(position..)?)?;
        match data.get(position + 1)? {
            0 => position += 2,
            0xFF => position += 1,
            _ => return Some(position),
        }
    }
}

/// The position of the next marker at or behind `from` that is no restart marker: the end of a scan.
pub(crate) fn scan_end(data: &[u8], from: usize) -> Option<usize> {
    let mut position = from;
    loop {
        position = marker_from(data, position)?;
        match data.get(position + 1)? {
            0xD0..=0xD7 => position += 2,
            _ => return Some(position),
        }
    }
}

/// The first 0xFF, looked for 32 bytes at a time.
fn first_ff(data: &[u8]) -> Option<usize> {
    let (chunks, _) = data.as_chunks::<32>();
    let quiet =
        chunks.iter().take_while(|chunk| !chunk.iter().fold(false, |found, &byte| found | (byte == 0xFF))).count();
    let rest = &data[quiet * 32..];
    rest.iter().position(|&byte| byte == 0xFF).map(|at| quiet * 32 + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(data: &[u8], bits: u32) -> Vec<u32> {
        let mut reader = Bits::new(data, 0);
        (0..bits / 8)
            .map(|_| {
                reader.refill();
                reader.take(8)
            })
            .collect()
    }

    #[test]
    fn stuffing_is_taken_out_wherever_it_lies() {
        for at in 0..24 {
            let plain: Vec<u8> = (0..24).map(|n| if n == at { 0xFF } else { n }).collect();
            let stuffed: Vec<u8> =
                plain.iter().flat_map(|&b| if b == 0xFF { vec![0xFF, 0] } else { vec![b] }).collect();
            let expected: Vec<u32> = plain.iter().map(|&b| u32::from(b)).collect();
            assert_eq!(all(&stuffed, 24 * 8), expected, "{at}");
        }
    }

    #[test]
    fn zeros_follow_the_last_byte_and_taking_them_is_known() {
        let mut reader = Bits::new(&[0xAB, 0xFF, 0xD9, 0x12], 0);
        reader.refill();
        assert_eq!((reader.take(8), reader.overrun()), (0xAB, false));
        assert_eq!((reader.take(1), reader.overrun()), (0, true));
    }

    #[test]
    fn a_restart_begins_behind_its_marker_only_if_it_is_the_one_expected() {
        let data = [1, 2, 3, 0xFF, 0xD3, 7];
        let mut reader = Bits::new(&data, 0);
        reader.refill();
        assert_eq!(reader.take(8), 1);
        assert!(reader.clone_of_restart(4).is_err());
        reader.restart(3).unwrap();
        reader.refill();
        assert_eq!(reader.take(8), 7);
    }

    impl Bits<'_> {
        fn clone_of_restart(mut self, expected: u8) -> Result<(), Error> {
            self.restart(expected)
        }
    }

    #[test]
    fn the_end_of_a_scan_is_the_first_marker_that_is_no_restart() {
        let mut data = vec![7; 100];
        data.extend([0xFF, 0, 0xFF, 0xD0, 1, 0xFF, 0xFF, 0xC4]);
        assert_eq!(marker_from(&data, 0), Some(102));
        assert_eq!(scan_end(&data, 0), Some(106));
        assert_eq!(scan_end(&data, 107), None);
    }
}
