//! Converts errors of the file system into store errors.

use std::io;

use crate::origin::error::StoreError;

pub(super) fn from_io(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Forbidden { source: error.into() },
        _ => StoreError::from_io(error),
    }
}

/// True if the error means that the object does not exist: the file is missing, the path leads to a folder, or the name
/// is not a valid file name.
pub(super) fn is_not_found(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidFilename)
}
