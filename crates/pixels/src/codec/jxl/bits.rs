//! Fields of a codestream, from the lowest bit of each byte (ISO/IEC 18181-1, section 9).

/// Reads fields; each is `None` at the end of the bytes.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// Position in bits.
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// A field of up to 32 bits.
    pub(super) fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value |= u32::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Some(value)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.read(1).map(|bit| bit == 1)
    }

    /// A field `U32`: two bits select the number of bits of the value and a number that is added.
    pub(super) fn u32(&mut self, choices: [(u32, u32); 4]) -> Option<u32> {
        let [a, b, c, d] = choices;
        let (count, offset) = match self.read(2)? {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
        self.read(count)?.checked_add(offset)
    }

    /// A field `Enum`.
    pub(super) fn enumeration(&mut self) -> Option<u32> {
        self.u32([(0, 0), (0, 1), (4, 2), (6, 18)])
    }
}
