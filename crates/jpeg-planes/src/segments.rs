//! Iteration over the marker segments of a file (ITU-T T.81, section B.1.1).

use planes::Error;

use crate::marker::{self, find_marker};

/// A marker and its parameters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) marker: u8,
    /// Position of `body` in the file.
    pub(crate) start: usize,
    /// The parameters after the length field. Empty for markers without parameters.
    pub(crate) body: &'a [u8],
}

/// Reads one segment after the other, up to a maximum number.
#[derive(Debug, Clone)]
pub(crate) struct SegmentReader<'a> {
    data: &'a [u8],
    position: usize,
    remaining: u32,
    max: u32,
}

impl<'a> SegmentReader<'a> {
    /// Starts after the SOI marker.
    pub(crate) fn new(data: &'a [u8], max: u32) -> Result<Self, Error> {
        if !data.starts_with(&[0xFF, marker::SOI]) {
            return Err(Error::WrongFormat("JPEG"));
        }
        Ok(Self { data, position: 2, remaining: max, max })
    }

    /// Reads the next segment. Stray bytes between segments are ignored, as libjpeg does.
    pub(crate) fn next(&mut self) -> Result<Segment<'a>, Error> {
        let limit = Error::Limit { what: "segments", max: u64::from(self.max) };
        self.remaining = self.remaining.checked_sub(1).ok_or(limit)?;
        let at = find_marker(self.data, self.position).ok_or(Error::Truncated)?;
        let marker = *self.data.get(at + 1).ok_or(Error::Truncated)?;
        let start = at + 4;
        if matches!(marker, 0x01 | marker::RST0..=marker::EOI) {
            self.position = at + 2;
            return Ok(Segment { marker, start: at + 2, body: &[] });
        }
        let length = self.data.get(at + 2..start).and_then(<[u8]>::first_chunk).ok_or(Error::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let end = at + 2 + length;
        if length < 2 {
            return Err(Error::Damaged("invalid segment length"));
        }
        let body = self.data.get(start..end).ok_or(Error::Truncated)?;
        self.position = end;
        Ok(Segment { marker, start, body })
    }

    /// Position after the last segment: that of the next segment, or of the entropy-coded data after SOS.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// Continues at `position`, such as the end of a scan.
    pub(crate) fn seek(&mut self, position: usize) {
        self.position = position;
    }
}
