//! The fields of the first image file directory (TIFF 6.0, section 2).

use crate::error::{Error, damaged};

/// Maximum number of fields that are read. Files of cameras have about forty.
const FIELDS_MAX: usize = 1024;

/// The first tag for private fields.
const PRIVATE_TAGS: u16 = 32_768;

/// Size of a value of a type, in bytes. Types that are not read count as bytes.
fn value_bytes(kind: u16) -> u64 {
    match kind {
        3 => 2,
        4 => 4,
        _ => 1,
    }
}

/// The fields of an image. Their values are read on access.
pub(super) struct Directory<'a> {
    file: &'a [u8],
    fields: &'a [[u8; 12]],
    is_big_endian: bool,
}

impl<'a> Directory<'a> {
    /// # Errors
    /// The file is no TIFF, or its directory is truncated.
    pub(super) fn read(file: &'a [u8]) -> Result<Self, Error> {
        let is_big_endian = match file.first_chunk() {
            Some(b"II*\0") => false,
            Some(b"MM\0*") => true,
            _ => return Err(damaged("no TIFF header")),
        };
        let mut directory = Self { file, fields: &[], is_big_endian };
        let fields = || {
            let at = usize::try_from(directory.u32(file.get(4..)?)?).ok()?;
            let count = usize::from(directory.u16(file.get(at..)?)?);
            let bytes = file.get(at + 2..)?.get(..12 * count)?;
            Some(bytes.as_chunks().0)
        };
        directory.fields = fields().ok_or_else(|| damaged("truncated directory"))?;
        if directory.fields.len() > FIELDS_MAX {
            return Err(damaged(format!("more than {FIELDS_MAX} fields")));
        }
        if let Some(tag) = directory.fields.iter().find_map(|field| directory.too_long(field)) {
            return Err(damaged(format!("a field that is longer than the file (tag {tag})")));
        }
        match directory.duplicate() {
            Some(tag) => Err(damaged(format!("two fields with the same tag ({tag})"))),
            None => Ok(directory),
        }
    }

    /// A tag of two fields. The decoder uses another one of them than this reader.
    fn duplicate(&self) -> Option<u16> {
        let mut tags: Vec<u16> =
            self.fields.iter().filter_map(|field| self.u16(field)).filter(|tag| *tag < PRIVATE_TAGS).collect();
        tags.sort_unstable();
        tags.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    /// The tag of a field that states more bytes than the file has, for which the decoder would allocate memory. Private
    /// fields are not read.
    fn too_long(&self, field: &[u8; 12]) -> Option<u16> {
        let (tag, kind, count) = (self.u16(field)?, self.u16(&field[2..])?, self.u32(&field[4..])?);
        let bytes = u64::from(count) * value_bytes(kind);
        (tag < PRIVATE_TAGS && bytes > self.file.len() as u64).then_some(tag)
    }

    /// The first value of a field with bytes or integers.
    pub(super) fn number(&self, tag: u16) -> Option<u32> {
        let (kind, _, _) = self.field(tag)?;
        let value = self.file.get(self.value_offset(tag)?..)?;
        match kind {
            1 => value.first().map(|value| u32::from(*value)),
            3 => self.u16(value).map(u32::from),
            4 => self.u32(value),
            _ => None,
        }
    }

    /// The number of values of a field.
    pub(super) fn count(&self, tag: u16) -> Option<u32> {
        self.field(tag).map(|(_, count, _)| count)
    }

    /// Offset of the values of a field in the file. Values of up to four bytes are in the directory.
    pub(super) fn value_offset(&self, tag: u16) -> Option<usize> {
        let (kind, count, at) = self.field(tag)?;
        if u64::from(count) * value_bytes(kind) <= 4 {
            return Some(at);
        }
        usize::try_from(self.u32(self.file.get(at..)?)?).ok()
    }

    /// The type and count of a field, and the offset of the value or of its offset.
    fn field(&self, tag: u16) -> Option<(u16, u32, usize)> {
        let n = self.fields.iter().position(|field| self.u16(field) == Some(tag))?;
        let field = self.fields.get(n)?;
        let first = usize::try_from(self.u32(self.file.get(4..)?)?).ok()?;
        Some((self.u16(&field[2..])?, self.u32(&field[4..])?, first + 2 + 12 * n + 8))
    }

    fn u16(&self, bytes: &[u8]) -> Option<u16> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(&self, bytes: &[u8]) -> Option<u32> {
        let bytes = *bytes.first_chunk()?;
        Some(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}
