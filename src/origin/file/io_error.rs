//! Errors of the file system, as store errors.

use std::io;

use crate::origin::error::StoreError;

pub(super) fn from_io(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Forbidden { source: error.into() },
        _ => StoreError::from_io(error),
    }
}

/// True if there is no object: no such file, a folder in its place, or a name that no file can have.
pub(super) fn is_not_found(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, IsADirectory, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | IsADirectory | InvalidFilename)
}
