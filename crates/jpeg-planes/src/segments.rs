//! A JPEG's marker segments (ITU-T T.81, section B.1.1), one after the other.

use crate::decode::bit_reader::marker_from;
use crate::error::Error;

/// Markers by their names in table B.1.
pub(crate) mod marker {
    pub(crate) const SOF0: u8 = 0xC0;
    pub(crate) const SOF1: u8 = 0xC1;
    pub(crate) const SOF2: u8 = 0xC2;
    pub(crate) const DHT: u8 = 0xC4;
    pub(crate) const EOI: u8 = 0xD9;
    pub(crate) const SOS: u8 = 0xDA;
    pub(crate) const DQT: u8 = 0xDB;
    pub(crate) const DRI: u8 = 0xDD;
    pub(crate) const APP0: u8 = 0xE0;
    pub(crate) const APP1: u8 = 0xE1;
    pub(crate) const APP2: u8 = 0xE2;
    pub(crate) const APP14: u8 = 0xEE;
}

/// A marker and what belongs to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) marker: u8,
    /// Where `body` begins in the file.
    pub(crate) start: usize,
    /// What follows the length; empty for markers that have none.
    pub(crate) body: &'a [u8],
}

/// Reads segments from a position on, at most so many.
#[derive(Debug, Clone)]
pub(crate) struct Segments<'a> {
    data: &'a [u8],
    position: usize,
    left: u32,
    max: u32,
}

impl<'a> Segments<'a> {
    /// Behind the start of image.
    pub(crate) fn of(data: &'a [u8], max: u32) -> Result<Self, Error> {
        if !data.starts_with(&[0xFF, 0xD8]) {
            return Err(Error::NotJpeg);
        }
        Ok(Self { data, position: 2, left: max, max })
    }

    /// The next segment; bytes between segments are passed over, as all decoders do.
    pub(crate) fn next(&mut self) -> Result<Segment<'a>, Error> {
        self.left = self.left.checked_sub(1).ok_or(Error::Limit { what: "segments", max: u64::from(self.max) })?;
        let at = marker_from(self.data, self.position).ok_or(Error::Truncated)?;
        let marker = *self.data.get(at + 1).ok_or(Error::Truncated)?;
        let start = at + 4;
        if matches!(marker, 0x01 | 0xD0..=0xD9) {
            self.position = at + 2;
            return Ok(Segment { marker, start: at + 2, body: &[] });
        }
        let length = self.data.get(at + 2..start).and_then(<[u8]>::first_chunk).ok_or(Error::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let end = at + 2 + length;
        if length < 2 {
            return Err(Error::Damaged("a segment without a length"));
        }
        let body = self.data.get(start..end).ok_or(Error::Truncated)?;
        self.position = end;
        Ok(Segment { marker, start, body })
    }

    /// Where the next segment, or a scan's data, begins.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Goes on from elsewhere: the end of a scan.
    pub(crate) fn seek(&mut self, position: usize) {
        self.position = position;
    }
}
