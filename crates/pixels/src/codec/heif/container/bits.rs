//! Reads the bits of AV1 and HEVC headers, highest first (AV1 section 4.10, ITU-T H.265 section 9.2).

/// Reads bits.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: u64,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        let byte = self.data.get(usize::try_from(self.at / 8).ok()?)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }

    /// A number of at most 64 bits.
    pub(super) fn read(&mut self, count: u64) -> Option<u64> {
        (0..count).try_fold(0, |value, _| Some(value << 1 | u64::from(self.flag()?)))
    }

    pub(super) fn skip(&mut self, count: u64) -> Option<()> {
        self.at = self.at.checked_add(count)?;
        Some(())
    }

    /// Skips `uvlc` of AV1, which begins with as many zeros as bits follow a one.
    pub(super) fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        self.skip(if zeros < 32 { zeros } else { 0 })
    }

    /// `ue(v)` of HEVC: as many zeros as bits follow a one (section 9.2). `None` for more than 32 bits.
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        let offset = 1_u64.checked_shl(zeros)? - 1;
        u32::try_from(offset.checked_add(self.read(zeros.into())?)?).ok()
    }
}
