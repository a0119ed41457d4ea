//! Boxes of ISO base media files and their fields (ISO/IEC 14496-12, section 4.2).

use crate::error::{Error, damaged};

/// A box: its type and its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct IsoBox<'a> {
    pub(super) kind: [u8; 4],
    pub(super) data: &'a [u8],
}

impl<'a> IsoBox<'a> {
    /// A reader at the start of the payload.
    pub(super) fn fields(&self) -> Fields<'a> {
        Fields { rest: self.data, kind: self.kind }
    }

    /// Returns the version and flags of a full box, and a reader for the fields after them.
    pub(super) fn full(&self) -> Result<(u8, u32, Fields<'a>), Error> {
        let mut fields = self.fields();
        let word = fields.u32()?;
        let [version, ..] = word.to_be_bytes();
        Ok((version, word & 0x00FF_FFFF, fields))
    }

    /// Like [`full`](Self::full). Fails if the version is greater than `version_max`.
    pub(super) fn full_up_to(&self, version_max: u8) -> Result<(u8, u32, Fields<'a>), Error> {
        let (version, flags, fields) = self.full()?;
        if version > version_max {
            return Err(damaged(format!("box '{}' has unsupported version {version}", self.kind.escape_ascii())));
        }
        Ok((version, flags, fields))
    }
}

/// Maximum number of boxes in a box, and of boxes before the metadata of a file.
const BOXES_MAX: usize = 1024;

/// Iterates over consecutive boxes. Ends after the first error.
pub(super) struct Boxes<'a> {
    rest: &'a [u8],
    left: usize,
    boxes_max: usize,
}

impl<'a> Boxes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self::with_max(bytes, BOXES_MAX)
    }

    /// Like [`new`](Self::new), with another maximum number of boxes.
    pub(super) fn with_max(bytes: &'a [u8], boxes_max: usize) -> Self {
        Self { rest: bytes, left: boxes_max, boxes_max }
    }

    fn read(&mut self) -> Result<IsoBox<'a>, Error> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| damaged(format!("more than {} boxes in one box", self.boxes_max)))?;
        let mut header = Fields { rest: self.rest, kind: *b"size" };
        let (size, kind) = (header.u32()?, header.four()?);
        let size = match size {
            // The box extends to the end of the file.
            0 => self.rest.len() as u64,
            1 => header.uint(8)?,
            size => size.into(),
        };
        let header_bytes = self.rest.len() - header.rest.len();
        let (whole, rest) = usize::try_from(size)
            .ok()
            .and_then(|size| self.rest.split_at_checked(size))
            .ok_or_else(|| damaged(format!("box '{}' extends past the end of its container", kind.escape_ascii())))?;
        let data = whole
            .get(header_bytes..)
            .ok_or_else(|| damaged(format!("box '{}' is smaller than its header", kind.escape_ascii())))?;
        self.rest = rest;
        Ok(IsoBox { kind, data })
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<IsoBox<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.rest = &[];
        }
        Some(read)
    }
}

/// Reads the big-endian fields of a box.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    kind: [u8; 4],
}

impl<'a> Fields<'a> {
    /// Reads data outside of a box. Errors name it `kind`.
    pub(super) fn new(bytes: &'a [u8], kind: [u8; 4]) -> Self {
        Self { rest: bytes, kind }
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// A four-character code.
    pub(super) fn four(&mut self) -> Result<[u8; 4], Error> {
        self.array()
    }

    /// A number of 32 bits if `wide` is set, else of 16 bits.
    pub(super) fn id(&mut self, wide: bool) -> Result<u32, Error> {
        if wide { self.u32() } else { self.u16().map(u32::from) }
    }

    /// A number of `bytes` bytes, which may be 4, 8, or 0 for an absent field with the value 0.
    pub(super) fn uint(&mut self, bytes: u8) -> Result<u64, Error> {
        match bytes {
            0 => Ok(0),
            4 => self.u32().map(u64::from),
            8 => self.array().map(u64::from_be_bytes),
            _ => Err(damaged(format!("box '{}' has fields of {bytes} bytes", self.kind.escape_ascii()))),
        }
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let kind = self.kind;
        let short = || damaged(format!("box '{}' is truncated", kind.escape_ascii()));
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let kind = self.kind;
        let short = || damaged(format!("box '{}' is truncated", kind.escape_ascii()));
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or_else(short)?;
        self.rest = rest;
        Ok(*array)
    }
}
