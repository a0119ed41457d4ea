//! Metadata of objects, and the parameters and results of operations, shared by all backends.

use std::ops::Range;
use std::time::SystemTime;

use crate::variant::ObjectKey;

/// Length, version and attributes of a stored object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Length of the whole object.
    pub bytes: u64,
    /// Strong entity tag, with its quotes. It changes whenever the object is written.
    pub etag: Box<str>,
    pub last_modified: SystemTime,
    pub content_type: Option<Box<str>>,
    /// Content codings that were applied to the bytes, such as `gzip`; `None` if the bytes are the object itself.
    pub content_encoding: Option<Box<str>>,
    /// User metadata; names in lower case.
    pub metadata: Vec<(String, String)>,
}

/// Attributes that are written with an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    pub content_type: String,
    pub cache_control: String,
    /// User metadata; names in lower case, of letters, digits and hyphens.
    pub metadata: Vec<(String, String)>,
}

/// The condition of a write (RFC 9110 section 13.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// No condition: an existing object is replaced.
    None,
    /// Fails if an object exists: `If-None-Match: *`.
    Absent,
    /// Only replaces the object with this ETag: `If-Match`.
    Matches(Box<str>),
}

/// Result of a write that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// The object is stored durably, with this ETag.
    Stored(Box<str>),
    /// The precondition did not hold; nothing changed.
    PreconditionFailed,
}

/// Result of a deletion that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteOutcome {
    /// The object does not exist anymore, or never existed.
    Deleted,
    /// The object has another ETag or does not exist.
    PreconditionFailed,
}

/// An entry of a listing. Listings contain no attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub key: ObjectKey,
    /// Length of the object.
    pub bytes: u64,
    pub etag: Box<str>,
    pub last_modified: SystemTime,
}

/// One page of a listing, ordered by the bytes of the keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    pub objects: Vec<ListedObject>,
    /// Pass it as `after` to get the next page; `None` on the last page.
    pub next: Option<String>,
}

/// Names in one folder: the part of a key after a prefix, up to the next slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    pub objects: Vec<ObjectKey>,
    /// Names of folders, without the folder that contains them.
    pub folders: Vec<String>,
    /// False if there are more names.
    pub is_complete: bool,
}

/// Why a store cannot hold an object under a key. The messages tell clients what to fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnstorableKey {
    #[error("a name in the key has {bytes} bytes but the limit between two slashes is {max}: shorten it")]
    NameTooLong { bytes: usize, max: usize },
    #[error("{parent:?} is an object, so this store can hold no object below it: choose another folder")]
    ParentIsObject { parent: String },
    #[error("this key is a folder that contains other objects: add a file name")]
    IsFolder,
    #[error("a symbolic link in this path leads out of the store: choose another key")]
    LinkOutside,
    #[error("this folder belongs to the store: choose another one")]
    Reserved,
}

/// Maximum length of a [`ListPage`]. S3 has the same limit.
pub const PAGE_OBJECTS_MAX: usize = 1000;

/// A part of an object (RFC 9110 section 14.1.2). A range whose last byte is beyond the end of the object is shortened
/// to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    From { first: u64 },
    FromTo { first: u64, last: u64 },
    Suffix { bytes: u64 },
}

impl ByteRange {
    /// The range as positions in an object of `object_bytes` bytes; `None` if the range is outside the object.
    pub(super) fn resolve(self, object_bytes: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first } => first..object_bytes,
            Self::FromTo { first, last } => first..last.saturating_add(1).min(object_bytes),
            Self::Suffix { bytes } => object_bytes.saturating_sub(bytes)..object_bytes,
        };
        (!range.is_empty()).then_some(range)
    }
}
