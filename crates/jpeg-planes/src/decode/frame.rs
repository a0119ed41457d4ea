//! The state shared by all scans of a frame.

use planes::Error;

use crate::decode::component::{BlockGrid, Component};
use crate::decode::tables::Tables;
use crate::header::Header;
use crate::marker::find_scan_end;
use crate::options::Options;
use crate::segments::SegmentReader;

/// A frame being decoded.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    pub(super) data: &'a [u8],
    pub(super) header: &'a Header,
    pub(super) options: &'a Options<'a>,
    pub(super) tables: Tables,
    pub(super) components: Vec<Component>,
}

impl<'a> Frame<'a> {
    /// Returns [`Error::Cancelled`] if the caller does not want to continue.
    pub(super) fn check_cancelled(&self) -> Result<(), Error> {
        if (self.options.should_continue)() { Ok(()) } else { Err(Error::Cancelled) }
    }

    /// Minimum coded units of an interleaved scan (ITU-T T.81, section A.2.3).
    pub(super) fn units(&self) -> BlockGrid {
        let (h, v) = self.header.sampling_max();
        BlockGrid {
            columns: self.header.width.div_ceil(8 * h) as usize,
            rows: self.header.height.div_ceil(8 * v) as usize,
        }
    }

    /// End of the scan that starts at `position`, or the end of the file if no marker follows.
    pub(super) fn scan_end(&self, position: usize) -> usize {
        find_scan_end(self.data, position).unwrap_or(self.data.len())
    }

    /// All segments of the file, from the start.
    pub(super) fn segments(&self) -> Result<SegmentReader<'a>, Error> {
        SegmentReader::new(self.data, self.options.limits.segments)
    }
}
